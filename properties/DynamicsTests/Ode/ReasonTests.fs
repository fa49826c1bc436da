/// Whatever ends a solve is in its reason, with the time and the state reached; only invalid input throws.
module ValueFlow.Tests.Dynamics.Ode.ReasonTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Tests.Dynamics.Ode.Fields

let private finite (solution: OdeSolution) = numbers solution.Final |> Array.forall Double.IsFinite

[<Property(MaxTest = 8)>]
let ``x' = x^2 ends at its blow-up time 1 / x0, with a finite state`` (size: PositiveInt) =
    let start = 0.5 + float (size.Get % 50) / 10.0
    use x0 = points [| start; start / 2.0 |]
    use solution = Ode.solve (OdeOptions.adaptive Scheme.tsitouras5 1e-8) squared x0 0.0 10.0

    (solution.Reason = Reason.StepUnderflow || solution.Reason = Reason.NotFinite)
    && abs (solution.Time - 1.0 / start) < 1e-3
    && finite solution

[<Fact>]
let ``blow-up of one sample leaves the others alone, if each has its own step`` () =
    let options = OdeOptions.adaptive Scheme.tsitouras5 1e-8
    use x0 = points [| 1.0; 1.0; -1.0; -1.0 |]

    use solution =
        Ode.solve
            { options with
                Control = StepControl.withNorm ErrorNorm.EachSample options.Control
                Save = [| 0.5; 3.0 |]
            }
            squared
            x0
            0.0
            3.0

    Assert.NotEqual(Reason.ReachedEnd, solution.Lanes[0].Reason)
    Assert.Equal(Reason.ReachedEnd, solution.Lanes[1].Reason)
    Assert.Equal(3.0, solution.Lanes[1].Time)
    Assert.InRange(solution.Time, 0.99, 1.01)
    Assert.True(apart (numbers solution.Final).[2..3] [| -0.25; -0.25 |] < 1e-6)
    Assert.True(Double.IsNaN (numbers solution.Saved[1]).[0])
    Assert.True(apart (numbers solution.Saved[1]).[2..3] [| -0.25; -0.25 |] < 1e-6)

[<Fact>]
let ``no number: at the start, in the middle, with constant and adaptive steps`` () =
    let never = Field.autonomous "never" (fun x -> Elementwise.times nan x)

    let later = Field.atTime "later" (fun t x -> if t > 0.5 then Elementwise.times nan x else x.neg ())

    use x0 = points [| 1.0; 2.0 |]

    for options in [ OdeOptions.standard; OdeOptions.fixedStep Scheme.rungeKutta4 0.1 ] do
        use first = Ode.solve options never x0 0.0 1.0
        Assert.Equal(Reason.NotFinite, first.Reason)
        Assert.Equal(0.0, first.Time)
        Assert.Equal<float[]>([| 1.0; 2.0 |], numbers first.Final)
        use second = Ode.solve options later x0 0.0 1.0
        Assert.Equal(Reason.NotFinite, second.Reason)
        Assert.InRange(second.Time, 0.39, 0.5)
        Assert.True(finite second)

[<Fact>]
let ``step limit and cancellation keep what was reached`` () =
    use x0 = points [| 1.0; 2.0 |]

    use limited =
        Ode.solve { OdeOptions.fixedStep Scheme.euler 0.1 with MaxSteps = 3; Save = [| 0.2; 0.9 |] } pendulum x0 0.0 1.0

    Assert.Equal(Reason.StepLimit, limited.Reason)
    Assert.Equal(0.3, limited.Time, 12)
    Assert.Equal<float[]>([| 0.2 |], limited.SavedTimes)
    use source = new CancellationTokenSource()
    let mutable calls = 0

    let progress (report: OdeProgress) =
        calls <- calls + 1
        Assert.Equal(calls, report.Steps)

        if calls = 4 then
            source.Cancel()

    use cancelled =
        Ode.solve { OdeOptions.fixedStep Scheme.euler 0.1 with Progress = progress; Cancellation = source.Token } pendulum x0 0.0 1.0

    Assert.Equal(Reason.Cancelled, cancelled.Reason)
    Assert.Equal(4, cancelled.Steps)
    use _quiet = torch.no_grad ()
    use none = Ode.solve { OdeOptions.standard with Cancellation = source.Token } pendulum x0 0.0 1.0
    Assert.Equal(Reason.Cancelled, none.Reason)
    Assert.Equal(0, none.Evaluations)

[<Fact>]
let ``a shortest step that is too long for the tolerance ends in underflow`` () =
    use x0 = points [| 1.0; 20.0 |]

    let control =
        match StepControl.integral 1e-10 1e-10 with
        | StepControl.Adaptive control -> StepControl.Adaptive { control with Smallest = 0.1 }
        | other -> other

    use solution = Ode.solve { OdeOptions.standard with Control = control } pendulum x0 0.0 5.0
    Assert.Equal(Reason.StepUnderflow, solution.Reason)

[<Fact>]
let ``no time at all: the start is the end`` () =
    use _quiet = torch.no_grad ()
    use x0 = points [| 1.0; 2.0 |]
    use solution = Ode.solve { OdeOptions.standard with Save = [| 1.0 |]; Dense = true } pendulum x0 1.0 1.0
    Assert.Equal((Reason.ReachedEnd, 0, 0), (solution.Reason, solution.Steps, solution.Evaluations))
    Assert.Equal<float[]>([| 1.0; 2.0 |], numbers solution.Final)
    Assert.Equal<float[]>([| 1.0; 2.0 |], numbers solution.Saved[0])
    use dense = solution.Dense.Value.At 1.0
    Assert.Equal<float[]>([| 1.0; 2.0 |], numbers dense)
    Assert.False(obj.ReferenceEquals(solution.Final, x0))

[<Fact>]
let ``invalid input throws an ArgumentException before anything is computed`` () =
    use x0 = points [| 1.0; 2.0 |]
    use empty = torch.zeros ([| 0L; 2L |], dtype = torch.float64)
    use number = torch.tensor 1.0
    use whole = torch.ones ([| 2L; 2L |], dtype = torch.int64)
    use bad = points [| 1.0; nan |]
    let throws (work: unit -> OdeSolution) = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore) |> ignore
    let standard = OdeOptions.standard
    let never = Field.autonomous "never" (fun _ -> invalidOp "it was evaluated")

    for x in [ empty; number; whole; bad ] do
        throws (fun () -> Ode.solve standard never x 0.0 1.0)

    throws (fun () -> Ode.solve standard never x0 nan 1.0)
    throws (fun () -> Ode.solve standard never x0 0.0 infinity)

    for save in [ [| 2.0 |]; [| 0.5; 0.5 |]; [| 0.6; 0.5 |]; [| nan |]; [| -0.1 |] ] do
        throws (fun () -> Ode.solve { standard with Save = save } never x0 0.0 1.0)

    throws (fun () -> Ode.solve { standard with MaxSteps = 0 } never x0 0.0 1.0)
    throws (fun () -> Ode.solve (OdeOptions.adaptive Scheme.rungeKutta4 1e-5) never x0 0.0 1.0)

    for step in [ 0.0; -0.1; nan; infinity ] do
        throws (fun () -> Ode.solve (OdeOptions.fixedStep Scheme.euler step) never x0 0.0 1.0)

    for control in
        [
            StepControl.integral -1.0 1e-5
            StepControl.integral 0.0 0.0
            StepControl.integral nan 1e-5
            StepControl.pid (nan, 1.0, 0.0) 1e-5 1e-5
        ] do
        throws (fun () -> Ode.solve { standard with Control = control } never x0 0.0 1.0)

    throws (fun () -> Ode.solve standard (Field.autonomous "narrow" (fun x -> x.narrow (1L, 0L, 1L))) x0 0.0 1.0)
    throws (fun () -> Ode.solve standard (Field.autonomous "single" (fun x -> x.``to`` torch.float32)) x0 0.0 1.0)

[<Fact>]
let ``an exception of the field comes out as it is, and leaves nothing behind`` () =
    use x0 = points [| 1.0; 2.0 |]
    let breaking = Field.atTime "breaking" (fun t x -> if t > 0.3 then raise (TimeoutException()) else x.neg ())

    let born =
        Lifetime.born (fun () ->
            Assert.Throws<TimeoutException>(fun () -> Ode.solve OdeOptions.standard breaking x0 0.0 1.0 |> ignore)
            |> ignore)

    Assert.Equal(0L, born)

// ---- Events ---------------------------------------------------------------------------------------------------------

let private height (level: float) (crossing: Crossing) (terminal: bool) : OdeEvent =
    {
        Name = "height"
        Function = fun _ x -> Elementwise.plus -level (x.narrow(1L, 0L, 1L).squeeze 1L)
        Crossing = crossing
        Terminal = terminal
    }

/// Free fall, x' = v, v' = -1.
let private fall: Field =
    Field.autonomous "fall" (fun x ->
        Lifetime.keep (fun () ->
            let v = x.narrow (1L, 1L, 1L)
            torch.cat ([| v; torch.ones_like(v).neg() |], 1L)))

/// A stone thrown up at speed v from 0 reaches the ground again at 2 v, and half its height v^2 / 4 at v (1 -+ sqrt(1/2)).
let private groundIsFound (shift: float) (own: bool) (draw: Draw) : bool =
    let speeds = draw.Points |> Array.truncate 3 |> Array.map (fun x -> 0.5 + abs x)
    use x0 = points (speeds |> Array.collect (fun v -> [| 0.0; v |]))
    let norm = if own then ErrorNorm.EachSample else ErrorNorm.WorstSample
    let options = { OdeOptions.standard with Control = StepControl.withNorm norm OdeOptions.standard.Control }
    use solution = Ode.solve { options with Events = [ height 0.0 Crossing.Falling true ] } fall x0 0.0 10.0

    let hits =
        solution.Events
        |> Array.forall (fun hit -> abs (hit.Time + shift - 2.0 * speeds[hit.Sample]) < 1e-9 && abs (numbers hit.State).[0] < 1e-9)

    if own then
        hits
        && solution.Events.Length = 3
        && solution.Lanes |> Array.forall (fun lane -> lane.Reason = Reason.Event 0)
        && Array.forall2 (fun (lane: Lane) v -> abs (lane.Time - 2.0 * v) < 1e-9) solution.Lanes speeds
    else
        hits && solution.Reason = Reason.Event 0 && abs (solution.Time - 2.0 * Array.min speeds) < 1e-9

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``terminal events are found, for the batch and for each sample`` (draw: Draw) (own: bool) = groundIsFound 0.0 own draw

[<Fact>]
let ``events: a time that is off by 1e-6 is refuted`` () = Assert.True(refuted (groundIsFound 1e-6 true))

[<Fact>]
let ``events go on where they are not terminal, and mind the direction`` () =
    use x0 = points [| 0.0; 2.0 |]

    let times (crossing: Crossing) =
        use solution = Ode.solve { OdeOptions.standard with Events = [ height 1.0 crossing false ] } fall x0 0.0 10.0
        Assert.Equal(Reason.ReachedEnd, solution.Reason)
        solution.Events |> Array.map _.Time

    let up, down = 2.0 - sqrt 2.0, 2.0 + sqrt 2.0
    Assert.Equal(up, Assert.Single(times Crossing.Rising), 9)
    Assert.Equal(down, Assert.Single(times Crossing.Falling), 9)
    Assert.True(apart (times Crossing.Either) [| up; down |] < 1e-9)
    // Backwards in time what rises falls.
    use there = points [| 0.0; -2.0 |]
    use backwards = Ode.solve { OdeOptions.standard with Events = [ height 1.0 Crossing.Rising true ] } fall there 4.0 0.0
    Assert.Equal(down, backwards.Time, 9)

[<Fact>]
let ``events of a pendulum agree with its dense output, for every pair`` () =
    for scheme in Scheme.all |> List.filter (fun scheme -> scheme.Error <> ErrorEstimate.Absent && scheme.Order > 2) do
        use x0 = points [| 1.0; 0.0 |]

        use solution =
            Ode.solve { OdeOptions.adaptive scheme 1e-9 with Events = [ height 0.0 Crossing.Falling true ] } pendulum x0 0.0 9.0

        use reference = Ode.solve { tight with Events = [ height 0.0 Crossing.Falling true ] } pendulum x0 0.0 9.0
        Assert.Equal(reference.Time, solution.Time, 6)
