/// What each summary of doubt and risk must satisfy by itself: duality, limits, and the order between them; and a wrong variant of each, refuted.
module ValueFlow.Tests.Values.BallTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Values.CertificateTests

/// Outcomes in quarters with two whole weights each, for the nominal law and for another, and a number between 0 and 1 in sixteenths for a parameter.
type Sketch = { Places: NonEmptyArray<struct (int * PositiveInt * NonNegativeInt)>; Part: int }

let private normalised (weights: float[]) = let total = Array.sum weights in weights |> Array.map (fun w -> w / total)
let private outcomes sketch = sketch.Places.Get |> Array.map (fun struct (x, _, _) -> float (x % 64) / 4.0)
let private nominal sketch = sketch.Places.Get |> Array.map (fun struct (_, w, _) -> float w.Get) |> normalised
let private part sketch = float (1 + abs (sketch.Part % 15)) / 16.0

/// rho of outcomes under a law: one state, one action, and a terminal state for each outcome.
let rho (summary: StateSummary) (p: float[]) (x: float[]) : float =
    let builder = ModelBuilder(p.Length + 1)

    for k in 0 .. p.Length - 1 do
        builder.Terminal(k + 1)
        builder.Add(0, 0, k + 1, p[k], x[k])

    match builder.Build() with
    | Error errors -> invalidOp (ModelError.describe errors.Head)
    | Ok model ->
        let result = [| 0.0 |]
        let bellman = Bellman.Create(model, 0.0, summary, Extreme Direction.Maximise)
        bellman.Sweep.ActionValues(Array.zeroCreate model.StateCount, result, CancellationToken.None) |> ignore
        result[0]

let private mean (p: float[]) (x: float[]) = Array.map2 (*) p x |> Array.sum
let private kl (q: float[]) (p: float[]) = Array.map2 (fun q p -> if q > 0.0 then q * log (q / p) else 0.0) q p |> Array.sum
let private chi2 (q: float[]) (p: float[]) = Array.map2 (fun q p -> (q - p) * (q - p) / p) q p |> Array.sum
let private tv (q: float[]) (p: float[]) = 0.5 * (Array.map2 (fun (q: float) p -> abs (q - p)) q p |> Array.sum)

// On the line, between cumulative sums.
let private transport (q: float[]) (p: float[]) = Array.map2 (-) q p |> Array.scan (+) 0.0 |> Array.sumBy abs

/// Laws on the successors: another law, tilts and cuts towards the small outcomes, and mixtures of each with the nominal law.
let private rivals sketch =
    let p, x = nominal sketch, outcomes sketch
    let worst, best = Array.min x, Array.max x
    let other = sketch.Places.Get |> Array.map (fun struct (_, _, w) -> float w.Get)

    [
        if Array.sum other > 0.0 then
            normalised other
        for tilt in [ 0.03; 0.1; 0.3; 1.0; 3.0; 10.0 ] do
            Array.map2 (fun p x -> p * exp (-tilt * (x - worst))) p x |> normalised
        for level in [ 0.1; 0.4; 0.8; 1.0; 1.5; 3.0 ] do
            let cut = Array.map2 (fun p x -> p * Math.Max(0.0, level * (best - worst) + 1e-9 - (x - worst))) p x

            if Array.sum cut > 0.0 then
                normalised cut
        Array.map2 (fun p x -> if x = worst then p else 0.0) p x |> normalised
    ]
    |> List.collect (fun q ->
        [
            for share in [ 1.0; 0.7; 0.4; 0.2; 0.1; 0.03 ] -> Array.map2 (fun q p -> share * q + (1.0 - share) * p) q p
        ])

let private holdsWith (law: Sketch -> Property) =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(uint64 firstSeed, 1UL).WithQuietOnSuccess(true), law)

let private refuted (law: Sketch -> Property) =
    Assert.True(
        (try
            holdsWith law
            false
         with _ ->
             true),
        "the mutant passed"
    )

let private atMost a b = (a <= b + 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"
let private same a b = (abs (a - b) <= 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

/// No law within the distance does worse than rho says.
let private noWorse (distance: float[] -> float[] -> float) (radiusOf: Sketch -> float) (rho: Sketch -> float) (sketch: Sketch) =
    let p, x = nominal sketch, outcomes sketch
    let value = rho sketch

    rivals sketch
    |> List.filter (fun q -> distance q p <= radiusOf sketch)
    |> List.map (fun q -> atMost value (mean q x))
    |> List.fold (fun all one -> all .&. one) (true |> Prop.label "")

let private of' (make: float -> StateSummary) (parameter: Sketch -> float) (sketch: Sketch) =
    rho (make (parameter sketch)) (nominal sketch) (outcomes sketch)

let private average sketch = mean (nominal sketch) (outcomes sketch)
let private worst sketch = Array.min (outcomes sketch)
let private line radius : StateSummary = Wasserstein(radius, StateMetric.Line, Support.Nominal, Attitude.Adverse)
let private contamination share : StateSummary = Contamination(share, Support.Nominal, Attitude.Adverse)
let private variation radius : StateSummary = TotalVariation(radius, Support.Nominal, Attitude.Adverse)

let private distances =
    [
        "kl", (fun e -> KullbackLeibler e :> StateSummary), kl
        "chi2", (fun e -> ChiSquare e), chi2
        "wasserstein", line, transport
        "tv", variation, tv
    ]

// Of the contaminations every one is a mixture.
let private noWorseMixture (shareOf: Sketch -> float) (s: Sketch) =
    let p, x, e = nominal s, outcomes s, part s

    rivals s
    |> List.map (fun q -> atMost (of' contamination shareOf s) (mean (Array.map2 (fun q p -> e * q + (1.0 - e) * p) q p) x))
    |> List.reduce (.&.)

[<Fact>]
let ``no law of a ball does worse than its summary says`` () =
    for _, make, distance in distances do
        holdsWith (noWorse distance part (of' make part))

    holdsWith (noWorse kl (fun s -> -log(part s)) (of' (fun share -> Evar share) part))
    holdsWith (noWorseMixture part)

[<Fact>]
let ``a ball that is smaller than said, or dualised with the wrong sign, is refuted`` () =
    for _, make, distance in distances do
        refuted (noWorse distance part (of' make (fun s -> 0.5 * part s)))

    refuted (
        noWorse kl part (fun s ->
            let p, x = nominal s, outcomes s
            -log(Array.map2 (fun p x -> p * exp -x) p x |> Array.sum) + part s)
    )

    refuted (noWorse kl (fun s -> -log(part s)) (of' (fun share -> Evar share) (part >> sqrt)))

[<Fact>]
let ``at the ends of their parameters summaries are the mean and the worst outcome`` () =
    let ends: (StateSummary * StateSummary) list =
        [
            KullbackLeibler 0.0, KullbackLeibler 50.0
            ChiSquare 0.0, ChiSquare 1e9
            line 0.0, line 1e3
            contamination 0.0, contamination 1.0
            Expectile 0.5, Expectile 1e-14
            Semideviation 0.0, Evar 1e-20
            Evar 1.0, KullbackLeibler 800.0
        ]

    for least, largest in ends do
        holdsWith (fun s -> same (rho least (nominal s) (outcomes s)) (average s))
        holdsWith (fun s -> same (rho largest (nominal s) (outcomes s)) (worst s))

    // A price that is not searched for; a level that is taken for its opposite; a dual whose law may be negative.
    refuted (fun s -> same (rho (line 1e3) (nominal s) (outcomes s)) (average s))
    refuted (fun s -> atMost (of' (fun t -> Expectile(1.0 - 0.5 * t)) part s) (average s))

    refuted (fun s ->
        let p, x = nominal s, outcomes s
        let spread = mean p (x |> Array.map (fun x -> (x - average s) * (x - average s)))
        atMost (worst s) (average s - sqrt (4.0 * spread)))

[<Fact>]
let ``summaries lie between the worst outcome and the mean, and fall as doubt grows`` () =
    let families: (string * (float -> StateSummary)) list =
        (distances |> List.map (fun (name, make, _) -> name, make))
        @ [
            "contamination", contamination
            "expectile", (fun t -> Expectile(0.5 * (1.0 - t)))
            "semideviation", (fun c -> Semideviation c)
            "evar", (fun t -> Evar(1.0 - t))
        ]

    for _, make in families do
        holdsWith (fun s -> atMost (worst s) (of' make part s) .&. atMost (of' make part s) (average s))
        holdsWith (fun s -> atMost (of' make part s) (of' make (fun s -> 0.6 * part s) s))

    // A parameter that works the other way round.
    refuted (fun s -> atMost (of' (fun t -> Evar t) part s) (of' (fun t -> Evar t) (fun s -> 0.6 * part s) s))

    refuted (fun s ->
        atMost (of' (fun t -> Semideviation(1.0 - t)) part s) (of' (fun t -> Semideviation(1.0 - t)) (fun s -> 0.6 * part s) s))

[<Fact>]
let ``balls within balls are ordered`` () =
    // Pinsker; log(1 + chi2) is at least the divergence; half the root of chi2 is at least the variation; a contamination lies within its variation.
    let ordered: ((float -> StateSummary) * (float -> StateSummary)) list =
        [
            (fun e -> TotalVariation(sqrt (0.5 * e), Support.Nominal, Attitude.Adverse)), (fun e -> KullbackLeibler e)
            (fun e -> KullbackLeibler e), (fun e -> ChiSquare(exp e - 1.0))
            (fun e -> TotalVariation(0.5 * sqrt e, Support.Nominal, Attitude.Adverse)), (fun e -> ChiSquare e)
            variation, contamination
            (fun a -> Evar a), (fun a -> Cvar a)
        ]

    for lower, upper in ordered do
        holdsWith (fun s -> atMost (of' lower part s) (of' upper part s))
        refuted (fun s -> atMost (of' upper part s) (of' lower part s))

    holdsWith (fun s ->
        same (of' (fun e -> Wasserstein(e, StateMetric.Discrete, Support.Nominal, Attitude.Adverse)) part s) (of' variation part s))

    holdsWith (fun s -> same (of' (fun a -> Evar a) part s) (of' (fun a -> KullbackLeibler(-log a)) part s))
    // Over all states no less may happen than over the successors.
    holdsWith (fun s -> atMost (of' (fun e -> Wasserstein(e, StateMetric.Line)) part s) (of' line part s))
    holdsWith (fun s -> atMost (of' (fun e -> Contamination e) part s) (of' contamination part s))

[<Fact>]
let ``an expectile balances what lies above it with what lies below`` () =
    let balance (swap: bool) (s: Sketch) =
        let p, x, t = nominal s, outcomes s, part s
        let e = rho (Expectile t) p x
        let t = if swap then 1.0 - t else t

        same
            (t * mean p (x |> Array.map (fun x -> Math.Max(0.0, x - e))))
            ((1.0 - t) * mean p (x |> Array.map (fun x -> Math.Max(0.0, e - x))))

    holdsWith (balance false)
    refuted (balance true)
    // The favourable twin of level t is the expectile of level 1 - t.
    holdsWith (fun s -> same (of' (fun t -> Expectile(t, Attitude.Favourable)) part s) (of' (fun t -> Expectile(1.0 - t)) part s))

[<Fact>]
let ``beyond weight one the semideviation is not monotone: a pinned pair`` () =
    // A rare outcome gains, which raises the mean, and with it what lies below.
    let measure weight gain =
        let p, x = [| 0.05; 0.95 |], [| gain; 0.0 |]
        let m = mean p x
        m - weight * mean p (x |> Array.map (fun x -> Math.Max(0.0, m - x)))

    Assert.True(measure 1.1 1.0 < measure 1.1 0.0)
    Assert.True(measure 1.0 1.0 >= measure 1.0 0.0)
    let error = Assert.Throws<ArgumentException>(fun () -> Semideviation 1.1 |> ignore)
    Assert.Contains("1.1", error.Message)

[<Fact>]
let ``bad parameters are refused by name`` () =
    let refuses (name: string) (found: string) (make: unit -> obj) =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> make () |> ignore)
        Assert.Equal(name, error.ParamName)
        Assert.Contains(found, error.Message)

    for bad in [ -0.1; nan; infinity ] do
        refuses "radius" (string bad) (fun () -> KullbackLeibler bad)
        refuses "radius" (string bad) (fun () -> ChiSquare bad)
        refuses "radius" (string bad) (fun () -> Wasserstein(bad, StateMetric.Line))
        refuses "share" (string bad) (fun () -> Contamination bad)
        refuses "share" (string bad) (fun () -> Evar bad)
        refuses "level" (string bad) (fun () -> Expectile bad)
        refuses "weight" (string bad) (fun () -> Semideviation bad)

    refuses "share" "0" (fun () -> Evar 0.0)
    refuses "level" "1" (fun () -> Expectile 1.0)
    refuses "table" "2 x 3" (fun () -> StateMetric.OfTable(Array2D.zeroCreate 2 3))
    refuses "table" "-1" (fun () -> StateMetric.OfTable(array2D [ [ 0.0; -1.0 ]; [ 1.0; 0.0 ] ]))
    refuses "points" "state 1" (fun () -> StateMetric.OfPoints [| [| 0.0 |]; [| nan |] |])
    let lake = FrozenLake.standard ()
    let far = Wasserstein(0.1, StateMetric.OfPoints [| [| 0.0 |] |])
    refuses "state" "at most 1 states" (fun () -> Bellman.Create(lake, 0.9, far, Extreme Direction.Maximise))

[<Fact>]
let ``distances by steps are those of the map`` () =
    // The slippery lake's floor: from the first field to the second, and to the third.
    let steps = StateMetric.Steps(FrozenLake.standard ())
    Assert.Equal(0.0, steps.Between(3, 3))
    Assert.Equal(1.0, steps.Between(0, 1))
    Assert.Equal(2.0, steps.Between(0, 2))
    Assert.Equal(steps.Between(0, 10), steps.Between(10, 0))
