/// Bounds on a lattice of stocks against exact values.
module ValueFlow.Tests.Returns.StockPlanningTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.StockSketch

let private layers = 3

let private utilities = [ GainLoss.shortfall; GainLoss.balance; GainLoss.create 0.5 2.0 ]

let private graphOf discount stock start model = StockGraph.Reach(100_000, layers, stock, start, discount, model, none)

/// max over decisions of E f(c + G), exactly.
let private exact (utility: GainLoss) discount (model: Model) state stock =
    (StockProgram.solveMean utility.Of none (graphOf discount stock state model)).Value

let private options = { StockPlanning.standard with Tolerance = 0.25; MostNodes = 20_000 }

[<Fact>]
let ``the bounds enclose the exact value at every state and stock, and the decisions attain the lower one`` () =
    let lawOf
        (act: StockValues -> int -> float -> int)
        (solve: GainLoss -> float -> Model -> StockValues)
        (alike: bool)
        (utility: GainLoss)
        (sketch: StockSketch, at: int, start: int)
        =
        let model = modelLike alike false layers 1.0 sketch
        let discount = 0.8
        let values = solve utility discount model
        let stock = float (at % 40) / 4.0
        let state = abs start % model.StateCount
        let value = exact utility discount model state stock
        let played = StockProgram.evaluate (fun _ -> act values) none (graphOf discount stock state model)

        atMost (values.Lower(state, stock)) value
        .&. atMost value (values.Upper(state, stock))
        .&. atMost (values.Lower(state, stock)) (played.Value.Expect utility.Of)
        .&. atMost (values.Lower(state, stock)) (values.Estimate(state, stock))
        .&. atMost (values.Estimate(state, stock)) (values.Upper(state, stock))

    let solve utility discount model = StockPlanning.solve options utility 0 0.0 discount model
    let law solve = lawOf (fun values s c -> values.ActionOf(s, c)) solve

    for utility in utilities do
        for alike in [ false; true ] do
            holdsFor 30 (law solve alike utility)

    // Mutants: a stock that is not divided enough, rewards that are not added, a utility of the other sign.
    refuted (law (fun utility _ model -> solve utility 0.6 model) false GainLoss.shortfall)

    refuted (law (fun utility discount model -> solve utility discount (earning (fun _ -> 0.0) model)) false GainLoss.shortfall)

    refuted (law (fun _ discount model -> solve GainLoss.neutral discount model) false GainLoss.shortfall)
    // Decisions that forget the stock, or take it with the other sign, do not attain the bound.
    refuted (lawOf (fun values s _ -> values.ActionOf(s, 0.0)) solve false GainLoss.balance)
    refuted (lawOf (fun values s c -> values.ActionOf(s, -c)) solve false GainLoss.balance)

/// A sweep's problem and windows for a model with layers, with the exact values at the lattice: what is true must stay true.
let private setting (utility: GainLoss) discount (model: Model) =
    let lattice = StockLattice.create -5.0 0.6 16
    let kernel = Kernel(model, discount)
    let most = (StockMoments.means Direction.Maximise none kernel).Upper
    let least = (StockMoments.means Direction.Minimise none kernel).Lower
    let atSlope slope = Array.map2 (fun most least -> slope * (if slope >= 0.0 then most else least)) most least

    let problem =
        {
            Model = model
            Discount = discount
            Utility = utility
            Left = atSlope utility.Loss
            Right = atSlope utility.Gain
        }

    // Windows of different states begin and end at different stocks.
    let first = Array.init model.StateCount (fun s -> s % 3)
    let counts = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0 else lattice.Count - first[s] - s % 2)
    let windows = { Lattice = lattice; First = first; Offsets = Array.scan (+) 0 counts }

    let values =
        [|
            for s in 0 .. model.StateCount - 1 do
                for i in 0 .. windows.Count s - 1 -> exact utility discount model s (windows.Stock(s, i))
        |]

    problem, windows, values

let private sweepOnce (envelope: 'E) (problem, windows: StockWindows, values: float[]) =
    let result = Array.zeroCreate values.Length
    let infinite sign = Array.create values.Length (sign * infinity)

    StockSweep(problem, windows)
        .Apply(envelope, values, result, infinite -1.0, infinite 1.0, Array.create problem.Model.RowCount true, false, none)
    |> ignore

    result

/// Shows what a backup finds, whatever an envelope would keep.
[<Struct>]
type private Shown<'E when 'E: struct and 'E :> IEnvelope>(inner: 'E) =
    interface IEnvelope with
        member _.Between(l, h, w) = inner.Between(l, h, w)
        member _.Anchored = inner.Anchored
        member _.Keep(_, found, _, _) = found

/// The nearest of the two values.
[<Struct>]
type private Nearest =
    interface IEnvelope with
        member _.Between(l, h, w) = if w < 0.5 then l else h
        member _.Anchored = true
        member _.Keep(_, found, _, _) = found

/// The straight line, outside the window too: it claims too much.
[<Struct>]
type private Chord =
    interface IEnvelope with
        member _.Between(l, h, w) = l + w * (h - l)
        member _.Anchored = true
        member _.Keep(_, found, _, _) = found

[<Fact>]
let ``a backup of exact values is below them with the lower envelope and above them with the upper one`` () =
    let law sweep below (alike: bool) (utility: GainLoss) (sketch: StockSketch) =
        let setting = setting utility 0.8 (modelLike alike false layers 1.0 sketch)
        let _, _, values = setting
        let found = sweep setting

        Array.map2 (fun found value -> if below then atMost found value else atMost value found) found values
        |> Array.reduce (.&.)

    let gap = 0.6
    let lower (u: GainLoss) : LowerEnvelope = { Gain = u.Gain * gap; Loss = u.Loss * gap }
    let upper (u: GainLoss) : UpperEnvelope = { Gain = u.Gain * gap; Loss = u.Loss * gap }

    for utility in utilities do
        for alike in [ false; true ] do
            holdsFor 30 (law (sweepOnce (Shown(lower utility))) true alike utility)
            holdsFor 30 (law (sweepOnce (Shown(upper utility))) false alike utility)

    let shortfall = GainLoss.shortfall
    // Floor and ceiling exchanged.
    refuted (law (sweepOnce (Shown(upper shortfall))) true false shortfall)
    refuted (law (sweepOnce (Shown(lower shortfall))) false false shortfall)
    // The nearest stock, the straight line.
    refuted (law (sweepOnce (Nearest())) true false shortfall)
    refuted (law (sweepOnce (Nearest())) false false shortfall)
    refuted (law (sweepOnce (Chord())) true false shortfall)
    refuted (law (sweepOnce (Chord())) false false GainLoss.balance)
    // Asymptotes that are too low.
    refuted (
        law
            (fun (p, w, v) -> sweepOnce (Shown(upper shortfall)) ({ p with Left = Array.map (fun x -> x - 1.0) p.Left }, w, v))
            false
            false
            shortfall
    )

[<Fact>]
let ``the fused sweep is the plain one`` () =
    let law (shift: float) (sketch: StockSketch) =
        let model = modelOf true 0 0.25 sketch
        let utility = GainLoss.create 0.5 2.0
        let discount = 0.8
        let lattice = StockLattice.create -3.0 0.5 13
        let first = Array.init model.StateCount (fun s -> s % 2)
        let counts = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0 else 12 - s)
        let windows = { Lattice = lattice; First = first; Offsets = Array.scan (+) 0 counts }
        let values = Array.init windows.Nodes (fun i -> float ((i * 7) % 5))

        // Continuous at the windows' ends, so that it does not matter whether outcomes are mixed before they are read.
        let beyond slope place =
            Array.init model.StateCount (fun s ->
                if counts[s] = 0 then
                    0.0
                else
                    values[windows.Offsets[s] + place counts[s]] - slope * windows.Stock(s, place counts[s]))

        let problem =
            {
                Model = model
                Discount = discount
                Utility = utility
                Left = beyond utility.Loss (fun _ -> 0)
                Right = beyond utility.Gain (fun count -> count - 1)
            }

        let read s c =
            if model.IsTerminal s then
                utility.Of c
            else
                let at = (c - windows.Stock(s, 0)) / 0.5

                if at < 0.0 then
                    utility.Loss * c + problem.Left[s]
                elif at >= float (counts[s] - 1) then
                    utility.Gain * c + problem.Right[s]
                else
                    let cell = int at
                    let l, h = values[windows.Offsets[s] + cell], values[windows.Offsets[s] + cell + 1]
                    l + (at - float cell) * (h - l)

        let plain =
            [|
                for s in 0 .. model.StateCount - 1 do
                    for i in 0 .. windows.Count s - 1 ->
                        [
                            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ->
                                List.sum
                                    [
                                        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                                            model.Probabilities[k]
                                            * discount
                                            * read model.Successors[k] ((windows.Stock(s, i) + model.Rewards[k]) / discount + shift)
                                    ]
                        ]
                        |> List.max
            |]

        Array.map2 same (sweepOnce (Interpolation()) (problem, windows, values)) plain |> Array.reduce (.&.)

    holdsFor 100 (law 0.0)
    refuted (law 0.1)

[<Fact>]
let ``the bracket of the best tail encloses the exact one, for rewards and for costs`` () =
    let law (turn: float) (share: float) (sketch: StockSketch) =
        let model = modelOf false layers 1.0 sketch
        let costs = earning (fun x -> turn * x) model
        let struct (plan, _) = BestTail.solve share 100_000 layers 0 0.8 model none
        let gains = BestTail.optimise options share Direction.Maximise 0 0.8 model
        let spent = BestTail.optimise options share Direction.Minimise 0 0.8 costs
        let played = StockProgram.evaluate (fun _ s c -> gains.ActionOf(s, c)) none (graphOf 0.8 gains.Stock 0 model)
        let outcome = Distribution.affine -gains.Stock 1.0 played.Value

        atMost gains.Lower plan.Value
        .&. atMost plan.Value gains.Upper
        .&. atMost gains.Lower ((Tail.cvar share).Value outcome)
        .&. atMost spent.Lower -plan.Value
        .&. atMost -plan.Value spent.Upper
        .&. same spent.Target -gains.Target
        .&. ((gains.Values.Outcome <> Outcome.Converged || gains.Upper - gains.Lower <= options.Tolerance)
             |> Prop.label "no wider than the tolerance")

    for share in [ 0.1; 0.5; 1.0 ] do
        holdsFor 30 (law -1.0 share)

    refuted (law 1.0 0.1)

[<Fact>]
let ``without a preference about risk the value is the stock and the best mean`` () =
    let model = Garnet.create (Generator 3) 12 3 4
    let values = StockPlanning.solve { options with Tolerance = 1e-4; MostNodes = 100_000 } GainLoss.neutral 0 0.0 0.9 model
    let best = (ValueIteration.solve RunOptions.standard (Bellman.Optimality(model, 0.9))).Values

    for s in 0..11 do
        for c in [ -30.0; -5.0; 0.3; 40.0 ] do
            Assert.InRange(c + best[s], values.Lower(s, c) - 1e-7, values.Upper(s, c) + 1e-7)
            Assert.True(values.Upper(s, c) - values.Lower(s, c) < 1e-3)

[<Fact>]
let ``the bracket narrows to the tolerance on a model that never ends, and play agrees`` () =
    let model = Garnet.create (Generator 3) 20 3 4
    let found = BestTail.optimise { StockPlanning.standard with Tolerance = 0.05 } 0.2 Direction.Maximise 0 0.9 model
    Assert.Equal(Outcome.Converged, found.Values.Outcome)
    Assert.True(found.Upper - found.Lower <= 0.05)
    let played = found.Play(Generator 4, 20_000, 200, none)
    Assert.InRange((Tail.cvar 0.2).Value(Distribution.ofNumbers played.Returns), found.Lower - 0.02, found.Upper + 0.02)
    // From the same values another share; the mean is the largest tail.
    let mean = BestTail.at 1.0 0 found
    let best = (ValueIteration.solve RunOptions.standard (Bellman.Optimality(model, 0.9))).Values[0]
    Assert.InRange(best, mean.Lower - 1e-9, mean.Upper + 1e-9)
    Assert.True((BestTail.at 0.1 0 found).Upper <= found.Upper + 1e-9)

[<Fact>]
let ``a cancelled solve keeps what is certified, and a small budget says so`` () =
    let model = Garnet.create (Generator 3) 20 3 4
    use source = new CancellationTokenSource()
    let mutable sweeps = 0

    let progress (_: Progress) =
        sweeps <- sweeps + 1

        if sweeps = 3 then
            source.Cancel()

    let cancelled =
        BestTail.optimise
            { StockPlanning.standard with Progress = progress; Cancellation = source.Token }
            0.2
            Direction.Maximise
            0
            0.9
            model

    Assert.Equal(Outcome.Cancelled, cancelled.Values.Outcome)
    let full = BestTail.optimise { StockPlanning.standard with Tolerance = 0.02 } 0.2 Direction.Maximise 0 0.9 model
    Assert.InRange(full.Lower, cancelled.Lower - 1e-9, cancelled.Upper + 1e-9)
    let small = BestTail.optimise { StockPlanning.standard with MostNodes = 100 } 0.2 Direction.Maximise 0 0.9 model
    Assert.Equal(Outcome.BudgetExhausted, small.Values.Outcome)
    Assert.InRange(full.Estimate, small.Lower - 1e-9, small.Upper + 1e-9)

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 3) 3 2 2
    refuses "discount" "1" (fun () -> StockPlanning.solve options GainLoss.shortfall 0 0.0 1.0 model)
    refuses "start" "9" (fun () -> StockPlanning.solve options GainLoss.shortfall 9 0.0 0.9 model)
    refuses "stock" "NaN" (fun () -> StockPlanning.solve options GainLoss.shortfall 0 nan 0.9 model)
    refuses "options" "0" (fun () -> StockPlanning.solve { options with Tolerance = 0.0 } GainLoss.shortfall 0 0.0 0.9 model)
    refuses "share" "1.5" (fun () -> BestTail.optimise options 1.5 Direction.Maximise 0 0.9 model)
    let values = StockPlanning.solve { options with Tolerance = 10.0 } GainLoss.shortfall 0 0.0 0.9 model
    refuses "state" "4" (fun () -> values.Lower(4, 0.0))
    refuses "episodes" "0" (fun () -> values.Play(Generator 1, 0, 1, 0, 0.0, none))
