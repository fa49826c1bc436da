namespace ValueFlow.Studies

open System
open System.Threading
open System.Threading.Tasks
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// A network to fit.
type internal Fit =
    {
        Name: string
        Configuration: NetworkConfiguration
        Options: FlowMatchingOptions
        Pairs: PairSource
        Steps: int
    }

/// Fits networks for a study, side by side: each on its own thread, with its own random numbers, so that the result does not depend on the order.
module internal Fits =

    /// The velocity network of the plane: x and t to 64, 64, 64 units, SELU.
    let plane: NetworkConfiguration = NetworkConfiguration.timeMlp 2 [ 64; 64; 64 ] Activation.Selu

    /// Adam from the rate 2e-3 down to 1e-5 along half a cosine, moving average of the last few hundred steps. Throws if a run does not come to its end.
    let run (seed: int) (progress: Action<string>) (cancellation: CancellationToken) (fits: Fit[]) : TrainingResult[] =
        let gate = obj ()

        let train (index: int) (fit: Fit) : TrainingResult =
            let tell (state: TrainingProgress) =
                if state.Step % 100 = 0 then
                    lock gate (fun () -> progress.Invoke $"{fit.Name}: step {state.Step} of {fit.Steps}, loss {state.Loss:F3}")

            let options =
                { TrainingOptions.standard fit.Steps with
                    LearningRate = LearningRate.Cosine(2e-3, 1e-5, fit.Steps)
                    EmaDecay = ValueSome 0.995
                    Seed = 1000 * seed + index
                    Progress = tell
                    Cancellation = cancellation
                }

            let start = Network.init Initialisation.LeCun (Generator(77 * seed + index)) fit.Configuration
            Training.run options (FlowMatching.objective fit.Options fit.Configuration fit.Pairs) start

        let results =
            fits
            |> Array.mapi (fun index fit -> Task.Run(fun () -> train index fit))
            |> fun tasks -> Task.WhenAll(tasks).GetAwaiter().GetResult()

        cancellation.ThrowIfCancellationRequested()

        Array.iter2
            (fun (fit: Fit) (result: TrainingResult) ->
                if result.Outcome <> TrainingOutcome.Completed then
                    invalidOp $"{fit.Name}: {result.Outcome}")
            fits
            results

        results
