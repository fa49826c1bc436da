/// What the tests of whole systems share: sketches that shrink, and the judge of a law.
module ValueFlow.Tests.Systems.Judge

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

/// The seed of random trials: VALUEFLOW_SEED, or 1.
let seed: uint64 =
    match Environment.GetEnvironmentVariable "VALUEFLOW_SEED" with
    | null -> 1UL
    | text -> UInt64.Parse(text, Globalization.CultureInfo.InvariantCulture)

/// A random decision process, and a number from which the rest of a trial is drawn.
type Case =
    {
        Sketch: ModelSketch
        Draw: int
    }

    override this.ToString() = $"{this.Sketch}\ndraw {this.Draw}"

    /// A generator for the rest of the trial.
    member this.Generator = Generator this.Draw

let private cases: Arbitrary<Case> =
    let make (seed: int) = { Sketch = ModelSketch.generate (Generator seed); Draw = seed % 1000 }

    let shrink (case: Case) =
        seq {
            if case.Sketch.States.Length > 1 then
                for s in 0 .. case.Sketch.States.Length - 1 -> { case with Sketch = ModelSketch.dropState case.Sketch s }

            for smaller in ModelSketch.shrink case.Sketch -> { case with Sketch = smaller }
        }

    Arb.fromGenShrink (Gen.choose (0, Int32.MaxValue - 1) |> Gen.map make, shrink)

/// a &lt;= b up to rounding, labelled with both sides.
let atMost (a: float) (b: float) : Property = (a <= b + 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"

/// a = b within a tolerance relative to 1 + |b|.
let within (tolerance: float) (a: float) (b: float) : Property = (abs (a - b) <= tolerance * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

/// Every entry within a tolerance relative to the largest.
let allWithin (tolerance: float) (a: float[]) (b: float[]) : Property =
    let size = 1.0 + Array.fold (fun m x -> max m (abs x)) 0.0 b
    let gap = Array.fold2 (fun m x y -> max m (abs (x - y))) 0.0 a b
    (gap <= tolerance * size) |> Prop.label $"gap {gap} at size {size}: %A{a} = %A{b}"

let private tried (count: int) (law: Case -> Property) =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(seed, 1UL).WithQuietOnSuccess(true), Prop.forAll cases law)

/// The law holds for two hundred decision processes; throws with the shrunk counterexample.
let holds (law: Case -> Property) : unit = tried 200 law

/// The law does not hold.
let refuted (law: Case -> Property) : unit =
    let failed =
        try
            tried 200 law
            false
        with _ ->
            true

    Assert.True(failed, "the mutant passed")

/// The exception names the argument and says what was found.
let refuses (argument: string) (found: string) (work: unit -> 'a) : unit =
    let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
    Assert.Equal(argument, error.ParamName)
    Assert.Contains(found, error.Message)

/// A random policy: in a third of the states one action, in the others a law over all, none of them so rare that plain sweeps would take for ever.
let policyOf (generator: Generator) (model: Model) : Policy =
    let weights = Array.zeroCreate<float> model.RowCount

    for s in 0 .. model.StateCount - 1 do
        let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

        if count > 0 then
            if generator.Below 3 = 0 then
                weights[first + generator.Below count] <- 1.0
            else
                Sampling.simplex generator count |> Array.iteri (fun i p -> weights[first + i] <- 0.8 * p + 0.2 / float count)

    Policy.Stochastic(model, weights)

/// A built model, or the errors.
let built (builder: ModelBuilder) : Model =
    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")
