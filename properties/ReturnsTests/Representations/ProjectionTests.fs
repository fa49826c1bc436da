/// Projections keep mass and, where they say so, means; and are as near as they say.
module ValueFlow.Tests.Returns.ProjectionTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

// Laws are made of quarters: these supports are hit by all, half or none of them, and cut many off.
let private supports =
    [
        Support(-25.0, 25.0, 201)
        Support(-50.0, 50.0, 201)
        Support(-1.0, 1.0, 9)
        Support(-1.0, 1.0, 2)
        Support(-1.0, 1.0, 6)
        Support(0.1, 3.3, 6)
    ]

let private lawOn (support: Support) (masses: float[]) = Distribution.ofAtoms support.Atoms masses

// A projection in its plain form: the hat function of each atom.
let private hats (support: Support) (law: Distribution) =
    support.Atoms
    |> Array.map (fun z ->
        law.Expect(fun x ->
            let inside = Math.Min(Math.Max(x, support.Least), support.Largest)
            Math.Max(0.0, 1.0 - abs (inside - z) / support.Gap)))

let private categoricalLaw (project: Support -> Distribution -> CategoricalProjection) (support: Support) (sketch: LawSketch) =
    let law = lawOf sketch
    let projection = project support law
    let total = Array.sum projection.Masses
    let covered = law.Minimum >= support.Least && law.Maximum <= support.Largest
    let plain = hats support law
    let gaps = Array.map2 (fun a b -> abs (a - b)) projection.Masses plain |> Array.max
    let mean = Array.sum (Array.map2 (*) projection.Masses support.Atoms)
    let outside (keep: float -> bool) = law.Expect(fun x -> if keep x then 1.0 else 0.0)

    let near () =
        let projected = lawOn support projection.Masses
        let again = (project support projected).Masses

        atMost (Line.wasserstein 1.0 law projected) (0.5 * support.Gap)
        .&. atMost (Line.cramer law projected) (0.5 * sqrt support.Gap)
        .&. (Array.forall2 (fun a b -> abs (a - b) <= 1e-12) again projection.Masses |> Prop.label "idempotent")

    same total 1.0
    .&. (gaps <= 1e-12 |> Prop.label "the mass of each atom is the mean of its hat function")
    .&. same mean (law.Mean + projection.MeanShift)
    .&. same projection.Below (outside (fun x -> x < support.Least))
    .&. same projection.Above (outside (fun x -> x > support.Largest))
    .&. ((covered && projection.MeanShift <> 0.0) |> not |> Prop.label "nothing is shifted within the support")
    .&. (if covered && abs (total - 1.0) <= 1e-9 then near () else true |> Prop.label "")

[<Fact>]
let ``the categorical projection keeps mass, keeps means or counts what clipping does to them, is near and idempotent`` () =
    for support in supports do
        holds (categoricalLaw Categorical.project support)

    let mutant (masses: Support -> Distribution -> float[]) =
        fun support law -> { Categorical.project support law with Masses = masses support law }

    let splitting (split: int -> float -> float -> float[] -> unit) (support: Support) (law: Distribution) =
        let masses = Array.zeroCreate support.Count

        for k in 0 .. law.Count - 1 do
            let position = (Math.Min(Math.Max(law.Atoms[k], support.Least), support.Largest) - support.Least) / support.Gap
            split (int (floor position)) position law.Masses[k] masses

        masses

    let add (masses: float[]) i p =
        if i >= 0 && i < masses.Length then
            masses[i] <- masses[i] + p

    let mutants: (int -> float -> float -> float[] -> unit) list =
        [
            // floor = ceiling: the mass of an outcome on an atom is lost.
            fun lower position p masses ->
                let upper = int (ceil position)
                add masses lower (p * (float upper - position))
                add masses upper (p * (position - float lower))
            // ... or counted twice.
            fun lower position p masses ->
                let upper = int (ceil position)
                add masses lower (p * (if upper = lower then 1.0 else float upper - position))
                add masses upper (p * (if upper = lower then 1.0 else position - float lower))
            // The wrong share to either side.
            fun lower position p masses ->
                add masses lower (p * (position - float lower))
                add masses (Math.Min(lower + 1, masses.Length - 1)) (p * (1.0 - (position - float lower)))
            // All to the nearest atom.
            fun _ position p masses -> add masses (int (Math.Round position)) p
            // The upper share of the last atom falls off.
            fun lower position p masses ->
                add masses lower (p * (if lower = masses.Length - 1 then 0.0 else 1.0 - (position - float lower)))
                add masses (lower + 1) (p * (position - float lower))
        ]

    let everywhere project sketch = supports |> List.map (fun support -> categoricalLaw project support sketch) |> List.reduce (.&.)

    for split in mutants do
        refuted (everywhere (mutant (splitting split)))

    let uncounted support law = { Categorical.project support law with Below = 0.0 }
    let unshifted support law = { Categorical.project support law with MeanShift = 0.0 }
    refuted (categoricalLaw uncounted supports[2])
    refuted (categoricalLaw unshifted supports[2])

[<Fact>]
let ``the categorical projection expands no l_p, and the constants of its error are reached`` () =
    let law (order: float) (distance: Distribution -> Distribution -> float) (x: LawSketch, y: LawSketch) =
        let support = supports[2]
        let on (sketch: LawSketch) = lawOn support (Categorical.project support (lawOf sketch)).Masses
        atMost (distance (on x) (on y)) (Line.cramerOf order (lawOf x) (lawOf y))

    for order in [ 1.0; 2.0; 4.0 ] do
        holds (law order (Line.cramerOf order))

    refuted (law 1.0 (fun x y -> 1.5 * Line.wasserstein 1.0 x y))

    let support = Support(0.0, 1.0, 5)
    let middle = Distribution.point 0.625
    let projected = lawOn support (Categorical.project support middle).Masses
    Assert.Equal(0.5 * support.Gap, Line.wasserstein 1.0 middle projected, 12)
    Assert.Equal(0.5 * sqrt support.Gap, Line.cramer middle projected, 12)

    // In W_2 it does expand: points that lie a little apart are split.
    let other = Distribution.point 0.75
    let otherProjected = lawOn support (Categorical.project support other).Masses
    Assert.True(Line.wasserstein 2.0 projected otherProjected > 1.4 * Line.wasserstein 2.0 middle other)

let private quantileLaw (project: int -> Distribution -> float[]) (sketch: LawSketch, size: PositiveInt, other: LawSketch, shift: int) =
    let law = lawOf sketch
    let count = 1 + size.Get % 12
    let values = project count law
    let projected = Distribution.ofNumbers values
    let distance = Line.wasserstein 1.0 law projected
    // Any other N values of equal mass are no nearer.
    let rival = project count (Distribution.affine (float shift / 8.0) 1.0 (lawOf other))

    atMost distance ((law.Maximum - law.Minimum) / (2.0 * float count))
    .&. atMost distance (Line.wasserstein 1.0 law (Distribution.ofNumbers rival))
    .&. atMost distance (Line.wasserstein 1.0 law (Distribution.ofNumbers (values |> Array.map (fun v -> v + float shift / 8.0))))
    .&. (values |> Array.pairwise |> Array.forall (fun (a, b) -> a <= b) |> Prop.label "sorted")
    .&. (Array.forall2 (=) (project count projected) values |> Prop.label "idempotent")

[<Fact>]
let ``quantiles at midpoints are nearest in W1, within the range over twice their number`` () =
    holds (quantileLaw Quantile.project)
    let at (level: int -> int -> float) count (law: Distribution) = Array.init count (fun i -> law.Quantile(level count i))
    refuted (quantileLaw (at (fun n i -> float (i + 1) / float n)))
    refuted (quantileLaw (at (fun n i -> float i / float n)))
    refuted (quantileLaw (fun n law -> Quantile.project n law |> Array.rev))
    refuted (quantileLaw (fun n law -> Array.create n law.Mean))

[<Fact>]
let ``the quantile projection does not expand W_infinity, but expands W1: a pinned pair`` () =
    let law (project: int -> Distribution -> float[]) (x: LawSketch, y: LawSketch, size: PositiveInt) =
        let a, b = project (1 + size.Get % 7) (lawOf x), project (1 + size.Get % 7) (lawOf y)
        let gaps = Array.map2 (fun a b -> abs (a - b)) a b
        atMost (Array.max gaps) (Line.wasserstein infinity (lawOf x) (lawOf y))

    holds (law Quantile.project)
    refuted (law (fun n law -> Quantile.project n law |> Array.map (fun v -> 1.01 * v)))

    let lower, upper =
        Distribution.ofAtoms [| 0.0; 1.0 |] [| 0.51; 0.49 |], Distribution.ofAtoms [| 0.0; 1.0 |] [| 0.49; 0.51 |]

    Assert.Equal(0.02, Line.wasserstein 1.0 lower upper, 12)
    Assert.Equal<float[]>([| 0.0 |], Quantile.project 1 lower)
    Assert.Equal<float[]>([| 1.0 |], Quantile.project 1 upper)

let private twoAtomLaw (project: float -> Distribution -> struct (float * float)) (sketch: LawSketch, percent: int, da: int, db: int) =
    let law = lawOf sketch
    let share = float (1 + abs percent % 98) / 100.0
    let struct (worst, best) = project share law
    let pair a b = Distribution.ofAtoms [| a; b |] [| share; 1.0 - share |]
    let distance = Line.wasserstein 2.0 law (pair worst best)
    let rival = pair (worst + float da / 8.0) (best + float db / 8.0)

    atMost worst best
    .&. same (share * worst + (1.0 - share) * best) law.Mean
    .&. atMost distance (Line.wasserstein 2.0 law rival)
    .&. atMost (Line.wasserstein 1.0 law (pair worst best)) (Math.Max(share, 1.0 - share) * (law.Maximum - law.Minimum) / 2.0)

[<Fact>]
let ``two atoms are the tail means: nearest in W2, with the mean kept`` () =
    holds (twoAtomLaw TwoAtom.project)
    refuted (twoAtomLaw (fun share law -> TwoAtom.project (0.5 * share) law))
    refuted (twoAtomLaw (fun share law -> struct (law.Quantile(0.5 * share), law.Quantile(0.5 * (1.0 + share)))))

    refuted (
        twoAtomLaw (fun share law ->
            let struct (worst, best) = TwoAtom.project share law
            struct (best, worst))
    )

let private gaussLaw (ofNumber: Support -> float -> float -> float[]) (place: int, tenths: PositiveInt) =
    let support = Support(-1.0, 1.0, 9)
    let x = float (place % 17) / 16.0
    let deviation = float (1 + tenths.Get % 20) / 10.0
    let masses = ofNumber support deviation x
    let law = lawOn support (masses |> Array.map (fun mass -> mass / Array.sum masses))
    let most = Array.max masses
    let nearest = support.Atoms |> Array.map (fun z -> abs (z - x)) |> Array.min

    same (Array.sum masses) 1.0
    .&. atMost (Line.wasserstein 1.0 law (Distribution.point x)) (0.5 * support.Gap + deviation * sqrt (2.0 / Math.PI))
    .&. (masses |> Array.exists (fun mass -> mass >= most - 1e-12) |> Prop.label "")
    .&. (abs (support.Atom(Array.IndexOf(masses, most)) - x) <= nearest + 1e-9
         |> Prop.label "the atom that is nearest weighs most")
    .&. (Array.forall2 (fun a b -> abs (a - b) <= 1e-12) masses (ofNumber support deviation -x |> Array.rev)
         |> Prop.label "symmetric")

[<Fact>]
let ``a Gaussian histogram is a law about its number, and a two-hot one has it as its mean`` () =
    holds (gaussLaw Histogram.ofNumber)
    refuted (gaussLaw (fun support deviation x -> Histogram.ofNumber support deviation x |> Array.map (fun mass -> 0.99 * mass)))
    refuted (gaussLaw (fun support deviation x -> Histogram.ofNumber support deviation (x + 0.5 * support.Gap)))
    refuted (gaussLaw (fun support deviation x -> Histogram.ofNumber support (3.0 * deviation + 2.0) (0.3 * x)))

    // A closed form: the mass of each bin is a difference of the normal distribution function.
    let support = Support(-1.0, 1.0, 3)
    let masses = Histogram.ofNumber support 1.0 0.0
    Assert.Equal(0.3829249225480262 / 0.8663855974622838, masses[1], 12)
    Assert.Equal(1.0, (Histogram.ofNumber support 0.01 500.0)[2], 12)
    Assert.Equal(1.0, (Histogram.ofNumber support 0.01 -500.0)[0], 12)

    let twoHot (mutant: float[] -> float[]) (place: int) =
        let x = float (place % 33) / 32.0
        let masses = mutant (Categorical.twoHot support x)
        same (Array.sum (Array.map2 (*) masses support.Atoms)) x .&. same (Array.sum masses) 1.0

    holds (twoHot id)
    refuted (twoHot Array.rev)

[<Fact>]
let ``tables hand out the laws that they were made of, and bad input is named`` () =
    let laws = [| Distribution.ofNumbers [| 0.0; 0.5; 1.0; 1.0 |]; Distribution.point 0.25 |]
    let table = LawTable laws
    let support = Support(0.0, 1.0, 5)
    let categorical = Categorical.ofTable support table
    Assert.Equal(0.0, Statewise.wasserstein(1.0).Distance (Laws.ofTable categorical) table, 12)
    Assert.Equal<float[]>([| 0.0; 0.5; 1.0; 1.0 |], (Quantile.ofTable 4 categorical).Values(0).ToArray())
    Assert.Equal(0.25, (TwoAtom.ofTable 0.5 table).Worst 0, 12)
    Assert.Equal(1.0, (TwoAtom.ofTable 0.5 table).Best 0, 12)
    Assert.Equal<float[]>([| 0.625; 0.25 |], categorical.Means)
    refuses "largest" "-1" (fun () -> Support(0.0, -1.0, 3))
    refuses "least" "NaN" (fun () -> Support(nan, 1.0, 3))
    refuses "count" "1" (fun () -> Support(0.0, 1.0, 1))
    refuses "index" "5" (fun () -> support.Atom 5)
    refuses "place" "2" (fun () -> table.Law 2)
    refuses "masses" "0.9" (fun () -> Categorical.ofMasses support [| 0.9; 0.0; 0.0; 0.0; 0.0 |])
    refuses "masses" "-1" (fun () -> Categorical.ofMasses support [| 2.0; -1.0; 0.0; 0.0; 0.0 |])
    refuses "masses" "4" (fun () -> Categorical.ofMasses support [| 1.0; 0.0; 0.0; 0.0 |])
    refuses "values" "3" (fun () -> Quantile.ofValues 2 [| 1.0; 2.0; 3.0 |])
    refuses "values" "NaN" (fun () -> Quantile.ofValues 1 [| nan |])
    refuses "count" "0" (fun () -> Quantile.ofValues 0 [| 1.0 |])
    refuses "share" "1" (fun () -> TwoAtom.ofAtoms 1.0 [| 1.0; 2.0 |])
    refuses "atoms" "1" (fun () -> TwoAtom.ofAtoms 0.5 [| 1.0 |])
    refuses "deviation" "0" (fun () -> Histogram.ofNumber support 0.0 0.5)
    refuses "x" "NaN" (fun () -> Histogram.ofNumber support 1.0 nan)

[<Fact>]
let ``spaces of tables do what is done to their numbers, and refuse tables of another kind`` () =
    let check (space: Space<'table>) (numbers: 'table -> float[]) (x: 'table) (y: 'table) (other: 'table) =
        let near a b = Array.iter2 (fun (a: float) b -> Assert.Equal(a, b, 12)) a b
        near (Array.map2 (fun a b -> 0.25 * a + 0.75 * b) (numbers x) (numbers y)) (numbers (space.Combine 0.25 x 0.75 y))
        Assert.Equal(Array.fold2 (fun sum a b -> sum + a * b) 0.0 (numbers x) (numbers y), space.Inner x y, 12)
        Assert.Equal<float[]>(numbers x, numbers (space.Copy x))

        for refused in [ (fun () -> space.Combine 0.5 x 0.5 other |> ignore); (fun () -> space.Inner x other |> ignore) ] do
            let error = Assert.Throws<ArgumentException>(Action refused)
            Assert.Equal("y", error.ParamName)

        match space.Order with
        | ValueSome order ->
            near (Array.map (fun a -> a + 2.0) (numbers x)) (numbers (order.Shift 2.0 x))
            Assert.Equal(Array.max (Array.map2 (-) (numbers x) (numbers y)), order.Excess x y, 12)
            Assert.Throws<ArgumentException>(fun () -> order.Excess x other |> ignore) |> ignore
        | ValueNone -> ()

    let laws = [| Distribution.ofAtoms [| 0.0; 1.0; 4.0 |] [| 0.2; 0.5; 0.3 |]; Distribution.point 2.0 |]
    let swapped = Array.rev laws
    let quantiles = Quantile.ofLaws
    check Quantile.space (fun (table: QuantileTable) -> table.Numbers) (quantiles 4 laws) (quantiles 4 swapped) (quantiles 5 laws)
    let atoms = TwoAtom.ofLaws
    check TwoAtom.space (fun (table: TwoAtomTable) -> table.Numbers) (atoms 0.3 laws) (atoms 0.3 swapped) (atoms 0.4 laws)
    let on support laws = Categorical.ofLaws support laws
    let support, wider = Support(0.0, 4.0, 5), Support(0.0, 5.0, 5)
    check Categorical.space (fun (table: CategoricalTable) -> table.Numbers) (on support laws) (on support swapped) (on wider laws)
