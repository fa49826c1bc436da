/// The runs that the laws of training are about, also in a process of their own.
module ValueFlow.LearningTests.Training.Runs

open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// A network of x and t, and the regression to a rotation that turns with t.
let configuration: NetworkConfiguration = NetworkConfiguration.timeMlp 2 [ 16; 16 ] Activation.Selu

let network (seed: int) : Network = Network.init Initialisation.Linear (Generator seed) configuration

/// The points of a step, from its generator.
let draw (generator: Generator) : RegressionBatch =
    let rows = 32
    let points = Array.init (2 * rows) (fun _ -> float32 (Sampling.normal generator))
    let times = Array.init rows (fun _ -> float32 (generator.Uniform()))

    let targets =
        Array.init (2 * rows) (fun i ->
            let t = times[i / 2]

            if i % 2 = 0 then
                cos t * points[i] - sin t * points[i + 1]
            else
                sin t * points[i - 1] + cos t * points[i])

    RegressionBatch.atTimes rows times points targets

let objective: Objective =
    Objective.regression "turning" configuration RegressionLoss.Squared (fun moment -> draw (moment.Generator()))

let options (steps: int) : TrainingOptions =
    { TrainingOptions.standard steps with
        LearningRate = LearningRate.WarmUp(20, LearningRate.Cosine(3e-3, 1e-4, 2000))
        ClipNorm = ValueSome 1.0
        EmaDecay = ValueSome 0.99
        HistoryPlaces = 64
        Seed = 11
    }

/// Runs to the end, from a checkpoint if there is one, and saves the result: what the process does that is killed.
let toTheEnd (steps: int) (every: int) (checkpoint: string) (result: string) : TrainingResult =
    let options = { options steps with Checkpoint = ValueSome { Path = checkpoint; Every = every } }

    let trained =
        if System.IO.File.Exists checkpoint then
            Training.resume options objective configuration checkpoint
        else
            Training.run options objective (network 3)

    Network.save result trained.Network
    trained
