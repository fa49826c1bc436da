namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations

/// Watches the events of a solve, step by step.
[<Sealed>]
type internal EventWatch(options: OdeOptions, arithmetic: IStageArithmetic, x0: torch.Tensor, lanes: Lanes) =

    let events = Array.ofList options.Events
    let interpolant = options.Scheme.StepInterpolant
    let rows = lanes.Rows
    let hits = ResizeArray<EventHit>()
    let mutable eventValues: float[][] = [||]

    let eventValue (event: OdeEvent) (times: torch.Tensor) (point: torch.Tensor) : float[] =
        Lifetime.within (fun () ->
            let value = event.Function times point

            if value.NumberOfElements <> int64 rows then
                invalidArg
                    (nameof options)
                    $"the event {event.Name} must give {rows} numbers, one for each sample, but gives {value.NumberOfElements}"

            arithmetic.Read(value.detach().``to``(x0.dtype).contiguous()))

    /// Whether there is anything to watch.
    member _.IsNeeded = events.Length > 0

    /// What happened.
    member _.Hits: seq<EventHit> = hits

    /// Takes the values at the start.
    member _.Begin(x: torch.Tensor) : unit = eventValues <- events |> Array.map (fun event -> eventValue event (lanes.Clock lanes.Time) x)

    /// The events of a step that was accepted: records them, and gives for each lane the share of the step at which it ends (1: it does not).
    member _.Detect(hold: torch.Tensor -> torch.Tensor, stepAs: unit -> DenseStep, final: torch.Tensor) : float[] =
        let time, used, accepted = lanes.Time, lanes.Used, lanes.Accepted
        let ends = Array.create lanes.Count 1.0
        let endedBy = Array.create lanes.Count -1
        let found = ResizeArray<struct (int * int * float)>()
        let times = Array.init lanes.Count (fun lane -> if accepted[lane] then lanes.After[lane] else time[lane])
        let now = events |> Array.map (fun event -> eventValue event (lanes.Clock times) final)

        for e in 0 .. events.Length - 1 do
            let crossing =
                Array.init rows (fun row ->
                    accepted[lanes.OfRow row] && EventSearch.crosses events[e].Crossing eventValues[e].[row] now[e].[row])

            if Array.contains true crossing then
                let step = stepAs ()

                let values (shares: float[]) : float[] =
                    Lifetime.within (fun () ->
                        let times = Array.init rows (fun row -> time[lanes.OfRow row] + shares[row] * used[lanes.OfRow row])
                        let clock = torch.empty ([| int64 rows |], dtype = x0.dtype)
                        arithmetic.Write(clock, times)
                        eventValue events[e] clock (DenseStep.at interpolant step shares))

                let shares = EventSearch.locate 1e-13 values eventValues[e] now[e] crossing

                for row in 0 .. rows - 1 do
                    if crossing[row] then
                        found.Add(struct (e, row, shares[row]))
                        let lane = lanes.OfRow row

                        if events[e].Terminal && (endedBy[lane] < 0 || shares[row] < ends[lane]) then
                            ends[lane] <- shares[row]
                            endedBy[lane] <- e

        if found.Count > 0 then
            let step = stepAs ()

            for struct (e, row, share) in found do
                let lane = lanes.OfRow row

                if endedBy[lane] < 0 || share <= ends[lane] then
                    let shares = Array.create rows share
                    let state = (DenseStep.at interpolant step shares).narrow(0L, int64 row, 1L).clone()
                    hits.Add { Event = e; Sample = row; Time = time[lane] + share * used[lane]; State = hold state }

            for lane in 0 .. lanes.Count - 1 do
                if endedBy[lane] >= 0 then
                    lanes.Finish(lane, Reason.Event endedBy[lane])

        eventValues <- now
        ends
