namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// For each place two atoms of fixed masses: Q1 of mass alpha, Q2 of mass 1 - alpha. Projected laws have Q1 &lt;= Q2.
[<Sealed>]
type TwoAtomTable internal (share: float, places: int, atoms: float[]) =
    inherit ReturnTable(places)

    /// alpha, the mass of the first atom.
    member _.Share = share
    /// Place by place Q1 and Q2. Not to be changed.
    member internal _.Numbers: float[] = atoms

    /// Q1: the mean of the worst share alpha of outcomes.
    member this.Worst(place: int) : float =
        this.RequirePlace place
        atoms[2 * place]

    /// Q2: the mean of the best share 1 - alpha of outcomes.
    member this.Best(place: int) : float =
        this.RequirePlace place
        atoms[2 * place + 1]

    override this.Law(place: int) =
        this.RequirePlace place
        Distribution.ofAtoms [| atoms[2 * place]; atoms[2 * place + 1] |] [| share; 1.0 - share |]

    override this.Mean(place: int) =
        this.RequirePlace place
        share * atoms[2 * place] + (1.0 - share) * atoms[2 * place + 1]

/// Projects laws on two atoms of fixed masses, and makes tables of them.
[<RequireQualifiedAccess>]
module TwoAtom =

    let internal requireShare (share: float) =
        if not (share > 0.0 && share < 1.0) then
            invalidArg (nameof share) $"share must lie in (0, 1) but is {share}"

    /// (1/alpha) integral of F^-1 over [0, alpha] and (1/(1-alpha)) integral of F^-1 over [alpha, 1]: the nearest pair in W_2. The mean is
    /// kept, the W_1 distance is at most max(alpha, 1 - alpha) (largest - least) / 2. Achab and Neu 2021, "Robustness and risk management
    /// via distributional dynamic programming".
    let project (share: float) (law: Distribution) : struct (float * float) =
        requireShare share
        let mutable left, below, above = share, 0.0, 0.0

        for k in 0 .. law.Count - 1 do
            let lower = Math.Min(left, law.Masses[k])
            below <- below + lower * law.Atoms[k]
            above <- above + (law.Masses[k] - lower) * law.Atoms[k]
            left <- left - lower

        struct (below / share, above / (1.0 - share))

    /// The table with a law at each place, projected.
    let ofLaws (share: float) (laws: Distribution[]) : TwoAtomTable =
        requireShare share

        let atoms =
            laws
            |> Array.collect (fun law ->
                let struct (worst, best) = project share law
                [| worst; best |])

        TwoAtomTable(share, laws.Length, atoms)

    /// The table with the same laws, projected.
    let ofTable (share: float) (table: ReturnTable) : TwoAtomTable = ofLaws share (Array.init table.Places table.Law)

    /// The table with the finite atoms, place by place Q1 and Q2.
    let ofAtoms (share: float) (atoms: float[]) : TwoAtomTable =
        requireShare share

        if atoms.Length % 2 <> 0 then
            invalidArg (nameof atoms) $"there must be 2 atoms for each place but there are {atoms.Length}"

        Shape.requireFinite (nameof atoms) atoms
        TwoAtomTable(share, atoms.Length / 2, Array.copy atoms)

    let private sameShare (x: TwoAtomTable) (y: TwoAtomTable) =
        if x.Share <> y.Share then
            invalidArg "y" $"the share must be {x.Share} but is {y.Share}"

    /// The largest difference over places and both atoms.
    let sup: Metric<TwoAtomTable> =
        {
            Key = MetricKey.Sup
            Convex = true
            Separates = true
            Distance =
                fun x y ->
                    sameShare x y
                    Metric.sup.Distance x.Numbers y.Numbers
        }

    /// Tables of two atoms: combinations, order and shift are those of the atoms.
    let space: Space<TwoAtomTable> =
        Space.ofNumbers (fun (x: TwoAtomTable) -> x.Numbers) (fun x numbers -> TwoAtomTable(x.Share, x.Places, numbers)) sameShare
