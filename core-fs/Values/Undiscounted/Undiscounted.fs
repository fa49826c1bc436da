namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// What undiscounted objectives share: they end at once when cancelled, also while they search the graph.
[<RequireQualifiedAccess>]
module internal Undiscounted =

    [<Literal>]
    let private Grace = 50

    // Cancelled before anything was known.
    let private unknown (name: string) (model: Model) : Solution =
        let everywhere value = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else value)

        {
            Values = Array.zeroCreate model.StateCount
            Lower = everywhere Double.NegativeInfinity
            Upper = everywhere Double.PositiveInfinity
            Policy = [||]
            Bound = Double.PositiveInfinity
            Floor = 0.0
            PolicyLoss = Double.PositiveInfinity
            Certificate = Certificate.Estimate
            Outcome = Outcome.Cancelled
            Method = name
            Sweeps = 0
            History = [||]
        }

    /// The answer of the work; where it is cancelled and does not end in time, a solution of which nothing is known.
    let solve (name: string) (options: RunOptions) (model: Model) (work: RunOptions -> Result<Solution, UndiscountedError>) =
        RunOptions.require options

        let heard progress =
            if not options.Cancellation.IsCancellationRequested then
                options.Progress progress

        Interruptible.run Grace options.Cancellation (fun () -> work { options with Progress = heard })
        |> ValueOption.defaultWith (fun () -> Ok(unknown name model))
