/// Cuts from below, costs from above, and the tree between them.
module ValueFlow.Tests.Stages.SddpTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Stages
open ValueFlow.Tests.Stages.CutTests

/// A small stock: products, stages and demands from small numbers, the rest from a seed.
type Stock = { Products: byte; Stages: byte; Demands: byte; Draw: int }

let private instance (stock: Stock) =
    Inventory.random (1 + int stock.Products % 3) (2 + int stock.Stages % 2) (1 + int stock.Demands % 3) (Generator stock.Draw)

let private problemOf (stock: Stock) = Inventory.problem (instance stock)

let private state (generator: Generator) (problem: MultistageProblem) =
    Array.init (problem.Initial.Length) (fun _ -> if generator.Below 4 = 0 then 0.0 else 8.0 * generator.Uniform())

let private run iterations (stock: Stock) problem = Sddp.solve (Generator stock.Draw) (Sddp.standard iterations) problem

let private exact t y problem = ExtensiveForm.solve (MultistageProblem.from t y problem)

[<Fact>]
let ``(1) every cut lies below the expected cost everywhere, and the bound never falls`` () =
    let law (change: Cut -> Cut) (stock: Stock) =
        let problem = problemOf stock
        let result = run 4 stock problem
        let generator = Generator(stock.Draw + 1)

        let below =
            result.Cuts
            |> Array.mapi (fun t cuts ->
                let y = state generator problem
                let truth = exact (t + 1) y problem
                cuts |> Array.map (fun cut -> atMost 1e-6 ((change cut).At y) truth) |> Array.reduce (.&.))
            |> Array.reduce (.&.)

        below
        .&. (result.Bounds |> Array.pairwise |> Array.forall (fun (a, b) -> b >= a - 1e-7) |> Prop.label "rises")

    holdsFor 60 (law id)
    // An intercept that forgets where the path stood; and prices with the wrong sign.
    refutedIn 60 (law (fun cut -> { cut with Intercept = cut.Intercept + 0.5 }))
    refutedIn 60 (law (fun cut -> { cut with Slopes = cut.Slopes |> Array.map (fun b -> -b) }))

[<Fact>]
let ``(1) a cut is tight where it was made, if what follows is exact`` () =
    let law (shift: float) (stock: Stock) =
        let problem = problemOf stock
        let y = state (Generator(stock.Draw + 1)) problem
        let none = Array.create (problem.Count - 1) [||]
        // Nothing follows the last stage.
        let cut = (Array.last (Sddp.cutsAt [| y |] none problem))[0]
        within 1e-7 (cut.At y + shift) (exact (problem.Count - 1) y problem)

    holdsFor 60 (law 0.0)
    refutedIn 60 (law 0.01)

[<Fact>]
let ``(2) bound, least cost, cost of the policy, in this order; and in the end they are one`` () =
    let law (iterations: int) (gap: float) (stock: Stock) =
        let problem = problemOf stock
        let result = run iterations stock problem
        let least = ExtensiveForm.solve problem
        let cost = Sddp.cost CancellationToken.None result.Cuts problem

        atMost 1e-7 result.Bound least
        .&. atMost 1e-7 least cost
        .&. atMost 1e-7 (cost - result.Bound) (gap * (1.0 + abs least))
        .&. within 1e-7 (Sddp.bound result.Cuts problem) result.Bound

    holdsFor 40 (law 3 infinity)
    holdsFor 40 (law 120 1e-6)
    refutedIn 40 (law 1 1e-6)

[<Fact>]
let ``(3) the expected cost is convex in the state, and prices are subgradients`` () =
    let law (sign: float) (stock: Stock) =
        let problem = problemOf stock
        let generator = Generator(stock.Draw + 1)
        let y, z = state generator problem, state generator problem
        let middle = Array.map2 (fun a b -> 0.5 * (a + b)) y z
        let last = problem.Count - 1
        let none = Array.create (problem.Count - 1) [||]
        let cut = (Array.last (Sddp.cutsAt [| y |] none problem))[0]
        let gain = Array.fold2 (fun sum b d -> sum + sign * b * d) 0.0 cut.Slopes (Array.map2 (-) z y)

        atMost 1e-7 (exact 1 middle problem) (0.5 * (exact 1 y problem + exact 1 z problem))
        .&. atMost 1e-7 (exact last y problem + gain) (exact last z problem)

    holdsFor 60 (law 1.0)
    refutedIn 60 (law -1.0)

// Cuts that were not made by anybody: solved ones, moved and turned.
let private guessed (generator: Generator) (cuts: Cut[][]) =
    cuts
    |> Array.map (
        Array.map (fun cut ->
            {
                Intercept = cut.Intercept * (0.5 + generator.Uniform())
                Slopes = cut.Slopes |> Array.map (fun b -> b * 2.0 * generator.Uniform())
            })
    )

[<Fact>]
let ``(5) guessed cuts bound nothing, but their policy costs no less than the least`` () =
    let law (bounds: Cut[][] -> MultistageProblem -> float) (stock: Stock) =
        let problem = problemOf stock
        let cuts = guessed (Generator(stock.Draw + 1)) (run 6 stock problem).Cuts
        atMost 1e-7 (ExtensiveForm.solve problem) (bounds cuts problem)

    holdsFor 60 (law (Sddp.cost CancellationToken.None))
    // Nor are they a bound from below: sometimes what the first stage says exceeds the least cost, sometimes not.
    refutedIn 60 (law Sddp.bound)

    let valid (stock: Stock) =
        let problem = problemOf stock
        let cuts = guessed (Generator(stock.Draw + 1)) (run 6 stock problem).Cuts
        atMost 1e-7 (Sddp.bound cuts problem) (ExtensiveForm.solve problem)

    refutedIn 60 valid

[<Fact>]
let ``(5) paths that guesses lead still end at the least cost, and never bound more`` () =
    let law (withGuides: bool) (stock: Stock) =
        let problem = problemOf stock
        let guides = guessed (Generator(stock.Draw + 1)) (run 6 stock problem).Cuts
        let result = Sddp.solve (Generator stock.Draw) { Sddp.standard 20 with Guides = guides } problem
        // The mutant takes what the guesses say for a bound.
        let bound = if withGuides then Sddp.bound (Array.map2 Array.append result.Cuts guides) problem else result.Bound
        atMost 1e-7 bound (ExtensiveForm.solve problem)

    holdsFor 40 (law false)
    refutedIn 40 (law true)

[<Fact>]
let ``predictors reproduce what a line can say, and the mean what it cannot`` () =
    let states = [| [| 0.0 |]; [| 2.0 |] |]

    let solved (u: float) =
        let cut slope = { Intercept = 3.0 + u; Slopes = [| slope * u |] }
        { Context = [| u; 1.0 |]; Cuts = [| [| cut 1.0; cut -2.0 |] |] }

    let instances = [| for i in 0..9 -> solved (float i) |]
    let predicted predictor = (CutPrediction.train CancellationToken.None predictor states instances).Predict [| 4.25; 1.0 |]
    let truth = (solved 4.25).Cuts
    let apart predictor = Cut.distance (Array.head (predicted predictor)) (Array.head truth)
    Assert.True(apart (CutPredictor.Ridge 1e-9) < 1e-6)
    Assert.True(apart (CutPredictor.Network([ 16 ], 2000, 1)) < 0.3, $"{apart (CutPredictor.Network([ 16 ], 2000, 1))}")
    Assert.True(apart CutPredictor.Mean > 0.3)
    let mean = Array.head (predicted CutPredictor.Mean)
    Assert.Equal(4.5, mean[0].Slopes[0], 9)

[<Fact>]
let ``products may be exchanged: cuts of the reordered instance are the reordered cuts`` () =
    let law (turn: int[] -> int[]) (stock: Stock) =
        let stock = { stock with Products = 2uy }
        let order = [| 2; 0; 1 |]
        let states = [| for k in 0..2 -> Array.init 3 (fun i -> if i = k then 5.0 else 1.0) |]
        let original = instance stock
        let problem = Inventory.problem original
        let cuts = Sddp.cutsAt states (run 5 stock problem).Cuts problem
        let other = CutPrediction.reordered states (turn order) cuts
        let again = Inventory.problem (Inventory.reordered order original)

        other
        |> Array.mapi (fun t set ->
            set
            |> Array.mapi (fun k cut -> atMost 1e-6 (cut.At states[k]) (exact (t + 1) states[k] again))
            |> Array.reduce (.&.))
        |> Array.reduce (.&.)
        .&. within 1e-9 (ExtensiveForm.solve again) (ExtensiveForm.solve problem)

    holdsFor 40 (law id)
    refutedIn 40 (law (fun order -> order |> Array.map (fun i -> (i + 1) % 3)))

[<Fact>]
let ``computed cuts need no repair, and a repaired set is convex at its states`` () =
    let law (change: float) (stock: Stock) =
        let problem = problemOf stock
        let generator = Generator(stock.Draw + 2)
        let states = Array.init 4 (fun _ -> state generator problem)
        let slopes = Inventory.slopes (instance stock)
        let cuts = Sddp.cutsAt states (run 4 stock problem).Cuts problem
        let same = Array.map2 Cut.distance (CutPrediction.repaired states slopes cuts) cuts |> Array.max

        let bent =
            cuts
            |> Array.map (
                Array.map (fun cut -> { cut with Slopes = cut.Slopes |> Array.map (fun b -> b + 20.0 * generator.Uniform() - 10.0) })
            )

        let mended = CutPrediction.repaired states slopes bent

        atMost 1e-6 (same + change) 0.0
        .&. (Array.map2
                 (fun (set: Cut[]) (before: Cut[]) ->
                     Seq.forall2 (fun state (cut: Cut) -> Cut.value -infinity set state <= cut.At state + 1e-7) states before)
                 mended
                 bent
             |> Array.forall id
             |> Prop.label "no cut exceeds another's value")

    holdsFor 60 (law 0.0)
    refutedIn 60 (law 0.01)
    // Without a repair bent cuts exceed one another.
    let unmended (stock: Stock) =
        let problem = problemOf stock
        let generator = Generator(stock.Draw + 2)
        let states = Array.init 4 (fun _ -> state generator problem)

        Sddp.cutsAt states (run 4 stock problem).Cuts problem
        |> Array.forall (fun set ->
            let bent =
                set
                |> Array.map (fun cut -> { cut with Slopes = cut.Slopes |> Array.map (fun b -> b - 10.0 * generator.Uniform()) })

            Seq.forall2 (fun state (cut: Cut) -> Cut.value -infinity bent state <= cut.At state + 1e-7) states bent)
        |> Prop.label "no cut exceeds another's value"

    refutedIn 60 unmended

[<Fact>]
let ``an exact set of cuts is the solver's own: predicted for the instance itself`` () =
    let stock = { Products = 1uy; Stages = 0uy; Demands = 2uy; Draw = 5 }
    let problem = problemOf stock
    let states = [| for i in 0..6 -> [| float i; float (i / 2) |] |]
    let cuts = Sddp.cutsAt states (run 60 stock problem).Cuts problem
    let model = CutPrediction.train CancellationToken.None CutPredictor.Mean states [| { Context = [| 1.0 |]; Cuts = cuts } |]
    let predicted = model.Predict [| 1.0 |]
    Array.iter2 (fun p c -> Assert.True(Cut.distance p c < 1e-9)) predicted cuts
    // Every one of them is a cut, so that they bound.
    Assert.True(Sddp.bound predicted problem <= ExtensiveForm.solve problem + 1e-7)

[<Fact>]
let ``bad input is named`` () =
    let problem = problemOf { Products = 0uy; Stages = 0uy; Demands = 0uy; Draw = 1 }
    let stage = problem.Stages[0]
    refuses "stages" "none" (fun () -> MultistageProblem.create 0.0 [| 0.0 |] [||])
    refuses "stages" "but are 2" (fun () -> MultistageProblem.create 0.0 [| 0.0; 0.0 |] [| { stage with Cost = [| 1.0; 1.0 |] } |])

    refuses "stages" "sum to 2" (fun () ->
        MultistageProblem.create 0.0 [| 0.0 |] [| { stage with Noises = Array.append stage.Noises stage.Noises } |])

    refuses "stages" "holds 9" (fun () -> MultistageProblem.create 0.0 [| 0.0 |] [| { stage with State = [| 9 |] } |])
    refuses "initial" "NaN" (fun () -> MultistageProblem.create 0.0 [| nan |] [| stage |])
    refuses "t" "is 7" (fun () -> MultistageProblem.from 7 [| 0.0 |] problem)
    refuses "options" "are 0" (fun () -> Sddp.solve (Generator 1) (Sddp.standard 0) problem)
    refuses "cuts" "are 0" (fun () -> Sddp.bound [||] problem)
    refuses "order" "each of 2" (fun () -> Inventory.reordered [| 0; 0 |] (Inventory.random 2 1 1 (Generator 1)))
    refuses "states" "is none" (fun () -> CutPrediction.reordered [| [| 1.0; 2.0 |] |] [| 1; 0 |] [||])
    refuses "products" "are 0" (fun () -> Inventory.random 0 1 1 (Generator 1))
    refuses "problem" "20000" (fun () -> ExtensiveForm.solve (Inventory.problem (Inventory.random 1 8 5 (Generator 1))))
    refuses "instances" "none" (fun () -> CutPrediction.train CancellationToken.None CutPredictor.Mean [| [| 0.0 |] |] [||])

[<Fact>]
let ``a stage without a decision says so`` () =
    let stage =
        {
            Cost = [| 1.0 |]
            Matrix = array2D [ [ 1.0 ] ]
            Recall = array2D [ [ 1.0 ] ]
            Noises = [| { Probability = 1.0; Right = [| -1.0 |] } |]
            State = [| 0 |]
        }

    let problem = MultistageProblem.create 0.0 [| 0.0 |] [| stage |]
    let error = Assert.Throws<InvalidOperationException>(fun () -> Sddp.solve (Generator 1) (Sddp.standard 1) problem |> ignore)
    Assert.Contains("stage 0 has no feasible decision", error.Message)

[<Fact>]
let ``the same seed gives the same cuts`` () =
    let stock = { Products = 2uy; Stages = 1uy; Demands = 2uy; Draw = 9 }
    let a, b = run 5 stock (problemOf stock), run 5 stock (problemOf stock)
    Assert.Equal<float[]>(a.Bounds, b.Bounds)
