/// The driver: group law, landing, dense output, control, and arithmetic on raw memory equal to plain tensors.
module ValueFlow.Tests.Dynamics.Ode.SolveTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open FsCheck.Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Tests.Dynamics.Ode.Fields

/// How a state is carried from one time to another.
type Flow = float[] -> float -> float -> float[]

let private pairs = Scheme.all |> List.filter (fun scheme -> scheme.Error <> ErrorEstimate.Absent && scheme.Order > 2)
let private pick (which: PositiveInt) : Scheme = pairs[which.Get % pairs.Length]

// ---- Group law ------------------------------------------------------------------------------------------------------

let private group (flow: Flow) (draw: Draw) : bool =
    let s, t = draw.Shares[0], draw.Shares[0] + 2.0 * draw.Shares[1]
    let whole = flow draw.Points 0.0 t
    let parts = flow (flow draw.Points 0.0 s) s t
    let back = flow whole t 0.0
    apart whole parts <= 1e-6 && apart back draw.Points <= 1e-6

[<Property(MaxTest = 30, Arbitrary = [| typeof<Draws> |])>]
let ``group law and reversal: phi(s, t) phi(r, s) = phi(r, t)`` (draw: Draw) (which: PositiveInt) =
    let options = OdeOptions.adaptive (pick which) 1e-9
    group (ends options pendulum) draw && group (ends options swinging) draw

[<Fact>]
let ``group law: a flow that stops a thousandth short is refuted`` () =
    Assert.True(refuted (group (fun x s t -> ends tight pendulum x s (t - 1e-3))))

[<Property(MaxTest = 30, Arbitrary = [| typeof<Draws> |])>]
let ``the tolerance is kept on linear systems, in both directions`` (draw: Draw) (which: PositiveInt) (forward: bool) =
    let t1 = if forward then 2.0 else -2.0
    let found = ends (OdeOptions.adaptive (pick which) 1e-8) (linear draw.Matrix) draw.Points 0.0 t1
    let exact = linearAt draw.Matrix t1 draw.Points
    apart found exact <= 1e-5 * (1.0 + (exact |> Array.map abs |> Array.max))

// ---- Landing --------------------------------------------------------------------------------------------------------

/// Where the field was evaluated, and the solution.
let private watched (solve: Field -> torch.Tensor -> float -> OdeSolution) (draw: Draw) : bool =
    let mutable latest = -infinity

    let field =
        Field.create "watched" (fun t x ->
            latest <- max latest (Lifetime.within (fun () -> t.max().item<float>()))
            pendulum.Apply t x)

    use x0 = points draw.Points
    let t1 = 0.5 + 2.0 * draw.Shares[0]
    use solution = solve field x0 t1
    latest <= t1 && solution.Time = t1 && solution.Reason = Reason.ReachedEnd

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``lands on the end point, and never looks behind it`` (draw: Draw) (which: PositiveInt) (own: bool) =
    let options = OdeOptions.adaptive (pick which) 1e-5

    let options =
        if own then
            { options with Control = StepControl.withNorm ErrorNorm.EachSample options.Control }
        else
            options

    watched (fun field x0 t1 -> Ode.solve options field x0 0.0 t1) draw

[<Fact>]
let ``a driver that steps past the end and interpolates is refuted`` () =
    let overshooting (field: Field) (x0: torch.Tensor) (t1: float) =
        let solution = Ode.solve OdeOptions.standard field x0 0.0 (t1 + 0.1)
        { solution with Time = t1 }

    Assert.True(refuted (watched overshooting))

let private savesWhatItSays (options: OdeOptions) (saves: float[]) (draw: Draw) (t1: float) : bool =
    use x0 = points draw.Points
    use solution = Ode.solve { options with Save = saves } pendulum x0 0.0 t1

    solution.SavedTimes = saves
    && Array.forall2
        (fun (state: torch.Tensor) time -> apart (numbers state) (ends tight pendulum draw.Points 0.0 time) <= 1e-4)
        solution.Saved
        saves
    // Every saved time but the start is the exact end of a step, in the clock's own numbers.
    && saves
       |> Array.indexed
       |> Array.forall (fun (i, time) -> time = 0.0 || solution.Grid |> Array.exists (fun step -> Array.contains i step.Saved))

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``saved times are landed on, with the states there, both ways`` (draw: Draw) (forward: bool) (own: bool) (start: bool) =
    let sign = if forward then 1.0 else -1.0
    let t1 = sign * 2.5
    let inner = [| 0.3 + draw.Shares[0]; 1.31 + draw.Shares[1] |] |> Array.map ((*) sign)
    let saves = Array.concat [ (if start then [| 0.0 |] else [||]); inner; [| t1 |] ]
    let options = OdeOptions.adaptive Scheme.tsitouras5 1e-7

    let options =
        if own then
            { options with Control = StepControl.withNorm ErrorNorm.EachSample options.Control }
        else
            options

    savesWhatItSays options saves draw t1

[<Fact>]
let ``saved states at a loose tolerance are refuted`` () =
    Assert.True(refuted (fun draw -> savesWhatItSays (OdeOptions.fixedStep Scheme.euler 0.1) [| 0.5; 1.5 |] draw 2.0))

// ---- Dense output ---------------------------------------------------------------------------------------------------

let private denseError (scheme: Scheme) (step: float) (between: DenseOutput -> float -> torch.Tensor) (x: float[]) : float =
    use x0 = points x
    use solution = Ode.solve { OdeOptions.fixedStep scheme step with Dense = true } pendulum x0 0.0 2.0

    [ 0.13; 0.71; 1.19; 1.77 ]
    |> List.map (fun time ->
        // The same place within a step, whatever its length.
        let time = step * (floor (time / step) + 0.37)
        use value = between solution.Dense.Value time
        apart (numbers value) (ends tight pendulum x 0.0 time))
    |> List.max

let private denseOrder (between: DenseOutput -> float -> torch.Tensor) (scheme: Scheme) (x: float[]) : float =
    let step =
        if scheme.Order > 5 then 0.5
        elif scheme.Order > 3 then 0.125
        else 1.0 / 32.0

    Math.Log2(denseError scheme step between x / denseError scheme (step / 2.0) between x)

let private plainDense (dense: DenseOutput) (time: float) = dense.At time

[<Fact>]
let ``dense output has its order`` () =
    for scheme in Scheme.all do
        let found = denseOrder plainDense scheme [| 1.0; 0.2; -0.7; 1.1; 0.4; -1.3; -1.0; -0.5 |]
        Assert.True(found >= float scheme.StepInterpolant.Order - 0.3, $"{scheme.Name}: {found}")

[<Fact>]
let ``dense output: straight lines between the steps have order 2 only`` () =
    let straight (dense: DenseOutput) (time: float) =
        let left = 0.125 * floor (time / 0.125)
        let a, b = dense.At left, dense.At(left + 0.125)
        a.Plus(Elementwise.times ((time - left) / 0.125) (b.sub a))

    let error = denseError Scheme.dormandPrince5 0.125 straight [| 1.0; 0.2 |]
    Assert.True(error > 100.0 * denseError Scheme.dormandPrince5 0.125 plainDense [| 1.0; 0.2 |])

let private continuous (gap: float) (options: OdeOptions) (draw: Draw) : bool =
    use x0 = points draw.Points
    use solution = Ode.solve { options with Dense = true } pendulum x0 0.0 2.0
    use final = solution.Dense.Value.At 2.0

    apart (numbers final) (numbers solution.Final) <= 1e-12
    && solution.Grid
       |> Array.forall (fun step ->
           step.Times
           |> Array.forall (fun time ->
               let left, right = max 0.0 (time - 1e-9), min 2.0 (time + 1e-9 + gap)
               use a = solution.Dense.Value.At left
               use b = solution.Dense.Value.At right
               apart (numbers a) (numbers b) <= 1e-7))

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``dense output is continuous, ends in the final state, and agrees with a solve to that time``
    (draw: Draw)
    (which: PositiveInt)
    (own: bool)
    =
    let options = OdeOptions.adaptive (pick which) 1e-7

    let options =
        if own then
            { options with Control = StepControl.withNorm ErrorNorm.EachSample options.Control }
        else
            options

    use x0 = points draw.Points
    use solution = Ode.solve { options with Dense = true } pendulum x0 0.0 2.0
    let time = 2.0 * draw.Shares[0]
    use value = solution.Dense.Value.At time
    continuous 0.0 options draw && apart (numbers value) (ends tight pendulum draw.Points 0.0 time) <= 2e-5

[<Fact>]
let ``dense output: a jump of the clock of a thousandth is refuted`` () =
    Assert.True(refuted (continuous 1e-3 (OdeOptions.adaptive Scheme.tsitouras5 1e-7)))

// ---- Control --------------------------------------------------------------------------------------------------------

/// x' = -w x with a rate for each sample: samples of different difficulty, arithmetic that does not depend on the batch.
let private rates: Field =
    Field.autonomous "rates" (fun x ->
        Lifetime.keep (fun () ->
            let rate, value = x.narrow (1L, 1L, 1L), x.narrow (1L, 0L, 1L)
            torch.cat ([| value.mul(rate).neg(); torch.zeros_like rate |], 1L)))

let private hard (draw: Draw) : float[] = draw.Points |> Array.mapi (fun i x -> if i % 2 = 0 then 1.0 + abs x else 8.0 * abs x)

let private aloneAsTogether (norm: ErrorNorm) (draw: Draw) : bool =
    let options = OdeOptions.adaptive Scheme.tsitouras5 1e-6
    let options = { options with Control = StepControl.withNorm norm options.Control }
    use x0 = points (hard draw)
    use together = Ode.solve options rates x0 0.0 1.0

    hard draw
    |> Array.chunkBySize 2
    |> Array.indexed
    |> Array.forall (fun (i, sample) ->
        use single = points sample
        use alone = Ode.solve options rates single 0.0 1.0
        let lane = if together.Lanes.Length = 1 then together.Lanes[0] else together.Lanes[i]

        (lane.Steps, lane.Rejections) = (alone.Steps, alone.Rejections)
        && apart (numbers alone.Final) (numbers together.Final).[2 * i .. 2 * i + 1] <= 1e-14)

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``each sample with its own step makes the steps that it makes alone`` (draw: Draw) = aloneAsTogether ErrorNorm.EachSample draw

[<Fact>]
let ``own steps: a shared step is refuted`` () = Assert.True(refuted (aloneAsTogether ErrorNorm.WorstSample))

/// In every accepted step, the estimated error of every sample is at most 1, by plain tensor arithmetic.
let private everySampleBounded (norm: ErrorNorm) (draw: Draw) : bool =
    let options = OdeOptions.adaptive Scheme.dormandPrince5 1e-5
    let options = { options with Control = StepControl.withNorm norm options.Control }

    let lower =
        { Scheme.dormandPrince5 with
            Weights =
                (match Scheme.dormandPrince5.Error with
                 | ErrorEstimate.Embedded e -> e
                 | _ -> [||])
        }

    use _scope = torch.NewDisposeScope()
    let mutable x = points (hard draw)
    use solution = Ode.solve options rates x 0.0 1.0

    solution.Grid
    |> Array.forall (fun grid ->
        let s, h = grid.Times[0], grid.Lengths[0]
        let next = RungeKutta.step Scheme.dormandPrince5 [ Term.time rates ] s (s + h) x
        let error = numbers ((RungeKutta.step lower [ Term.time rates ] s (s + h) x).sub x)
        let before, after = numbers x, numbers next
        x <- next

        [ 0..5 ]
        |> List.forall (fun i ->
            let share (j: int) = error[j] / (1e-5 + 1e-5 * max (abs before[j]) (abs after[j]))
            sqrt ((pown (share (2 * i)) 2 + pown (share (2 * i + 1)) 2) / 2.0) <= 1.0 + 1e-6))

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``a step accepted by its worst sample bounds every sample`` (draw: Draw) = everySampleBounded ErrorNorm.WorstSample draw

[<Fact>]
let ``worst sample: the root mean square over the batch is refuted`` () = Assert.True(refuted (everySampleBounded ErrorNorm.RootMeanSquare))

[<Fact>]
let ``a smaller tolerance gives a smaller error, with every kind of control`` () =
    for control in [ StepControl.integral; StepControl.proportionalIntegral; StepControl.pid (0.1, 0.3, 0.05) ] do
        for norm in [ ErrorNorm.RootMeanSquare; ErrorNorm.WorstSample; ErrorNorm.EachSample ] do
            let error tolerance =
                let options = { OdeOptions.standard with Control = control tolerance tolerance |> StepControl.withNorm norm }
                apart (ends options pendulum [| 1.0; 0.2; -0.7; 1.1 |] 0.0 5.0) (ends tight pendulum [| 1.0; 0.2; -0.7; 1.1 |] 0.0 5.0)

            Assert.True(error 1e-8 < 1e-6 && error 1e-8 < 0.1 * error 1e-4)

// ---- Raw memory equals plain tensors --------------------------------------------------------------------------------

let private fastIsPlain (plain: Scheme) (fast: Scheme) (tolerance: float) (dtype: torch.ScalarType) (norm: ErrorNorm) (draw: Draw) : bool =
    use _scope = torch.NewDisposeScope()
    let x0 = (points draw.Points).``to`` dtype

    let control =
        if fast.Error = ErrorEstimate.Absent then
            StepControl.Constant 0.1
        else
            StepControl.integral 1e-4 1e-4 |> StepControl.withNorm norm

    let solution = Ode.solve { OdeOptions.standard with Scheme = fast; Control = control } pendulum x0 0.0 1.0
    let mutable x = x0

    for grid in solution.Grid do
        let column (values: float[]) =
            if values.Length = 1 then
                torch.tensor (values[0], dtype = dtype)
            else
                (torch.tensor (values, dtype = dtype)).unsqueeze 1L

        let time (share: float) = torch.tensor (grid.Times[0] + share * grid.Lengths[0], dtype = dtype)
        x <- RungeKutta.advance plain [ Term.time pendulum ] time [ column grid.Lengths ] x

    apart (numbers x) (numbers solution.Final) <= tolerance

[<Property(MaxTest = 40, Arbitrary = [| typeof<Draws> |])>]
let ``arithmetic on raw memory equals plain tensors, for every scheme, type and norm``
    (draw: Draw)
    (which: PositiveInt)
    (single: bool)
    (own: bool)
    =
    let scheme = Scheme.all[which.Get % Scheme.all.Length]
    let dtype, tolerance = if single then torch.float32, 2e-5 else torch.float64, 1e-13
    fastIsPlain scheme scheme tolerance dtype (if own then ErrorNorm.EachSample else ErrorNorm.RootMeanSquare) draw

[<Fact>]
let ``raw memory: another scheme is refuted`` () =
    Assert.True(refuted (fastIsPlain Scheme.heun Scheme.midpoint 1e-13 torch.float64 ErrorNorm.RootMeanSquare))

[<Property(MaxTest = 10)>]
let ``raw memory: long rows and many rows`` (size: PositiveInt) (seed: int) =
    use _scope = torch.NewDisposeScope()
    use generator = new torch.Generator(uint64 (abs (int64 seed)))
    let shape = if size.Get % 2 = 0 then [| 3L; 1000L + int64 size.Get |] else [| 1500L + int64 size.Get; 3L |]
    let x0 = torch.randn (shape, dtype = torch.float64, generator = generator)
    let field = Field.autonomous "sine" (fun x -> x.sin ())

    [ ErrorNorm.RootMeanSquare; ErrorNorm.WorstSample; ErrorNorm.EachSample ]
    |> List.forall (fun norm ->
        let options = { OdeOptions.standard with Control = StepControl.integral 1e-8 1e-8 |> StepControl.withNorm norm }
        let solution = Ode.solve options field x0 0.0 1.0
        // tan(x/2) grows by the factor e.
        let half = Elementwise.times 0.5 x0
        let turned = Elementwise.times 2.0 ((Elementwise.times (exp 1.0) (half.tan ())).atan())
        // The other branches of the inverse tangent.
        let exact = turned.Plus(Elementwise.times (2.0 * Math.PI) ((Elementwise.times (1.0 / Math.PI) half).round()))
        apart (numbers solution.Final) (numbers exact) <= 1e-5)

// ---- Resources ------------------------------------------------------------------------------------------------------

let private bits (x: torch.Tensor) = numbers x |> Array.map BitConverter.DoubleToInt64Bits

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``a solve leaves what its result owns, and x0 as it was`` (draw: Draw) (which: PositiveInt) (own: bool) =
    let event: OdeEvent =
        {
            Name = "q = 0"
            Function = (fun _ x -> x.narrow(1L, 0L, 1L).squeeze 1L)
            Crossing = Crossing.Either
            Terminal = false
        }

    let options = OdeOptions.adaptive (pick which) 1e-5

    let options =
        if own then
            { options with Control = StepControl.withNorm ErrorNorm.EachSample options.Control }
        else
            options

    let options = { options with Save = [| 0.5; 1.0 |]; Dense = true; Events = [ event ] }
    use x0 = points draw.Points
    let before = bits x0

    let born =
        Lifetime.born (fun () ->
            let solution = Ode.solve options pendulum x0 0.0 2.0
            (solution :> IDisposable).Dispose())

    let alone =
        Lifetime.born (fun () -> (Ode.solve { options with Dense = false; Save = [||]; Events = [] } pendulum x0 0.0 2.0).Final.Dispose())

    born = 0L && alone = 0L && bits x0 = before

[<Fact>]
let ``resources: a field that keeps a tensor is seen`` () =
    use x0 = points [| 1.0; 0.5 |]

    let leaking =
        Field.autonomous "leaking" (fun x ->
            x.clone().DetachFromDisposeScope() |> ignore
            x.neg ())

    Assert.True(Lifetime.born (fun () -> (Ode.solve OdeOptions.standard leaking x0 0.0 1.0 :> IDisposable).Dispose()) > 0L)

[<Fact>]
let ``a scope around a solve owns the result`` () =
    use x0 = points [| 1.0; 0.5 |]

    let born =
        Lifetime.born (fun () ->
            use _scope = torch.NewDisposeScope()
            Ode.solve { OdeOptions.standard with Dense = true; Save = [| 0.5 |] } pendulum x0 0.0 1.0 |> ignore)

    Assert.Equal(0L, born)

[<Fact>]
let ``fields that give their argument back, a constant of their own, or a strided view are safe`` () =
    use constant = points [| 1.0; 2.0; 3.0; 4.0 |]
    let same = Field.autonomous "same" id
    let fixedSlope = Field.autonomous "constant" (fun _ -> constant)
    let strided = Field.autonomous "strided" (fun x -> x.t().contiguous().t())

    for options in
        [
            OdeOptions.adaptive Scheme.tsitouras5 1e-9
            { OdeOptions.fixedStep Scheme.rungeKutta4 0.01 with Dense = true }
        ] do
        let start = [| 1.0; 2.0; 3.0; 4.0 |]
        let grown = start |> Array.map ((*) (exp 1.0))
        Assert.True(apart (ends options same start 0.0 1.0) grown < 1e-6)
        Assert.True(apart (ends options strided start 0.0 1.0) grown < 1e-6)
        Assert.True(apart (ends options fixedSlope start 0.0 1.0) (start |> Array.map ((*) 2.0)) < 1e-9)
        Assert.Equal<float[]>(start, numbers constant)
