namespace ValueFlow.Core.Returns

open System
open System.Threading.Tasks
open ValueFlow.Core.Foundations

/// How laws of returns are kept: the slot of a distributional Bellman operator that follows the push-forward. A representation of one's own
/// says how laws become a table, and what the projected operator then claims; all else follows.
[<AbstractClass>]
type Representation<'table when 'table :> ReturnTable>(name: string, space: Space<'table>) =

    /// The name in reports.
    member _.Name = name
    /// The space of the tables.
    member _.Space = space

    /// The table with a law at each place, projected.
    abstract OfLaws: laws: Distribution[] -> 'table

    /// What the push-forward along branches, followed by the projection, claims.
    abstract Claims: branches: Branches -> Claim<'table> list
    default _.Claims _ = []

    /// True if laws that are ordered by their quantiles stay so: then c is passed on with its discounts, too.
    abstract Monotone: bool
    default _.Monotone = false

    /// The table of the laws (T eta)(place), projected. By default law by law.
    abstract Apply: branches: Branches * table: 'table -> 'table
    default this.Apply(branches, table) = this.Plain(branches, table)

    /// The same, written over a table of the result's places, where the representation offers it.
    abstract Into: branches: Branches -> Into<'table> voption
    default _.Into _ = ValueNone

    /// A bound on max over places of W_1 between the fixed point of the projected operator and the laws of the returns; infinite where none
    /// is stated.
    abstract Distortion: branches: Branches -> float
    default _.Distortion _ = Double.PositiveInfinity

    /// The table that has the law of 0 at each place.
    member this.Zero(places: int) : 'table = this.OfLaws(Array.create places (Distribution.point 0.0))

    /// What <c>Apply</c> computes, in its plain form: each exact law, then the projection.
    member this.Plain(branches: Branches, table: 'table) : 'table =
        this.OfLaws(Array.init branches.Places (fun place -> branches.Law(table, place)))

/// Runs the places of a table in blocks, on all processors where that pays.
module internal Blocks =

    let private size = 256

    // work first last, for places first .. last - 1; atoms is what the work is measured by.
    let run (places: int) (atoms: int64) (work: int -> int -> unit) : unit =
        let blocks = (places + size - 1) / size

        if blocks > 1 && atoms > 200_000L && Environment.ProcessorCount > 1 then
            Parallel.For(0, blocks, fun block -> work (block * size) (Math.Min(places, (block + 1) * size))) |> ignore
        elif places > 0 then
            work 0 places
