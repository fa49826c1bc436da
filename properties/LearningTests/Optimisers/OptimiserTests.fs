module ValueFlow.LearningTests.Optimisers.OptimiserTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.LearningTests.Refutation

let private numbers (generator: Generator) count scale : float32[] = Array.init count (fun _ -> float32 (scale * Sampling.normal generator))

/// Parameters after some steps with random gradients: ours, and those of torch.optim on the same numbers.
let private race
    (optimiser: Optimiser)
    (make: seq<TorchSharp.Modules.Parameter> -> torch.optim.Optimizer)
    (seed: int, length: int, steps: int)
    =
    let generator = Generator seed
    let start = numbers generator length 1.0
    let gradients = Array.init steps (fun step -> numbers generator length (if step % 2 = 0 then 1.0 else 1e-3))

    let theirs =
        Lifetime.within (fun () ->
            use parameter = new TorchSharp.Modules.Parameter(torch.tensor start)
            use rule = make [ parameter ]

            for gradient in gradients do
                rule.zero_grad ()
                let loss: torch.Tensor = (parameter.mul (torch.tensor gradient)).sum()
                loss.backward ()
                rule.step () |> ignore

            (parameter.detach().``to`` torch.float64).data<float>().ToArray())

    let mutable state = struct (start, Optimiser.init optimiser length)

    for gradient in gradients do
        state <- Optimiser.step optimiser 0.01 gradient state

    let struct (ours, memory) = state
    Assert.Equal(steps, memory.Steps)
    theirs, Array.map float ours

let private sameAs (optimiser: Optimiser) make (NonNegativeInt seed, PositiveInt length, PositiveInt steps) =
    let theirs, ours = race optimiser make (seed, length % 40 + 1, steps % 60 + 1)
    allNear 2e-6 theirs ours

let private adam (parameters: seq<TorchSharp.Modules.Parameter>) : torch.optim.Optimizer = torch.optim.Adam(parameters, 0.01)

let private adamW (parameters: seq<TorchSharp.Modules.Parameter>) : torch.optim.Optimizer =
    torch.optim.AdamW(parameters, 0.01, weight_decay = 0.1)

let private sgd (parameters: seq<TorchSharp.Modules.Parameter>) : torch.optim.Optimizer = torch.optim.SGD(parameters, 0.01, momentum = 0.8)

[<Fact>]
let ``Adam, AdamW and SGD take the steps of torch.optim`` () =
    holds 40 (sameAs Optimiser.adam adam)
    holds 40 (sameAs (Optimiser.adamW 0.1) adamW)
    holds 40 (sameAs (Optimiser.Sgd 0.8) sgd)

[<Fact>]
let ``another constant, and no decay, are found`` () =
    refuted (sameAs (Optimiser.Adam(0.9, 0.99, 1e-8)) adam)
    refuted (sameAs (Optimiser.Adam(0.9, 0.999, 1e-2)) adam)
    refuted (sameAs Optimiser.adam adamW)
    refuted (sameAs (Optimiser.Sgd 0.0) sgd)

[<Fact>]
let ``a step changes no argument, and the same step gives the same bits`` () =
    holds 50 (fun (NonNegativeInt seed) ->
        let generator = Generator seed
        let start, gradient = numbers generator 13 1.0, numbers generator 13 1.0
        let before = Array.copy start, Array.copy gradient
        let state = Optimiser.init Optimiser.adam 13
        let struct (first, _) = Optimiser.step Optimiser.adam 0.1 gradient (struct (start, state))
        let struct (again, _) = Optimiser.step Optimiser.adam 0.1 gradient (struct (start, state))

        (start, gradient) = before && state = Optimiser.init Optimiser.adam 13 && first = again && first <> start)

let private emaLaw (average: float -> float32[] -> float32[] -> float32[]) (NonNegativeInt seed, PositiveInt steps) =
    let generator = Generator seed
    let decay = generator.Uniform()
    let points = Array.init (1 + steps % 30) (fun _ -> numbers generator 5 1.0)
    let found = Array.reduce (fun mean next -> average decay next mean) points
    let last = points.Length - 1

    let expected =
        Array.init 5 (fun i ->
            decay ** float last * float (points[0][i])
            + (1.0 - decay) * Seq.sum (seq { for k in 1..last -> decay ** float (last - k) * float (points[k][i]) }))

    allNear 1e-5 expected (Array.map float found)

[<Fact>]
let ``the moving average is its closed form`` () =
    holds 100 (emaLaw Ema.step)
    refuted (emaLaw (fun decay next mean -> Ema.step (decay * decay) next mean))

let private clipLaw (clip: float -> float32[] -> float32[]) (NonNegativeInt seed, PositiveInt limit) =
    let generator = Generator seed
    let gradient = numbers generator (1 + generator.Below 50) 3.0
    let limit = float limit / 3.0
    let clipped = clip limit gradient
    let size = gradient |> Array.sumBy (fun g -> float g * float g) |> sqrt
    let factor = min 1.0 (limit / size)

    near 1e-12 size (Gradient.norm gradient)
    .&. near 1e-6 (min size limit) (Gradient.norm clipped)
    .&. allNear 1e-6 (gradient |> Array.map (fun g -> factor * float g)) (Array.map float clipped)

[<Fact>]
let ``clipping keeps the direction and bounds the norm`` () =
    holds 200 (clipLaw Gradient.clip)
    refuted (clipLaw (fun limit -> Array.map (fun g -> Math.Clamp(g, float32 -limit, float32 limit))))
    refuted (clipLaw (fun limit gradient -> Array.map (fun g -> g * float32 (limit / Gradient.norm gradient)) gradient))
    Assert.True(Double.IsNaN(Gradient.norm [| 1.0f; nanf |]))
    Assert.True(Double.IsFinite(Gradient.norm (Array.create 9 1e30f)))

[<Fact>]
let ``learning rates meet at their boundaries`` () =
    let cosine = LearningRate.Cosine(1.0, 0.1, 100)
    Assert.Equal(1.0, LearningRate.at 0 cosine, 12)
    Assert.Equal(0.55, LearningRate.at 50 cosine, 12)
    Assert.Equal(0.1, LearningRate.at 100 cosine, 12)
    Assert.Equal(0.1, LearningRate.at 1_000_000 cosine, 12)
    let warm = LearningRate.WarmUp(10, cosine)
    Assert.Equal(0.1, LearningRate.at 0 warm, 12)
    Assert.Equal(1.0, LearningRate.at 9 warm, 12)
    Assert.Equal(1.0, LearningRate.at 10 warm, 12)
    Assert.Equal(0.1, LearningRate.at 110 warm, 12)
    Assert.Equal(0.5 * 0.9 ** 7.0, LearningRate.at 7 (LearningRate.Exponential(0.5, 0.9)), 12)

    // From peak to floor without turning.
    holds 200 (fun (NonNegativeInt step) ->
        let now, next = LearningRate.at step cosine, LearningRate.at (step + 1) cosine
        next <= now && next >= 0.1 && now <= 1.0)

    for bad in
        [
            LearningRate.Constant -1.0
            LearningRate.Constant nan
            LearningRate.Cosine(1.0, infinity, 3)
            LearningRate.Cosine(1.0, 0.0, 0)
            LearningRate.Exponential(1.0, 1.5)
            LearningRate.WarmUp(0, cosine)
            LearningRate.WarmUp(3, LearningRate.Constant nan)
        ] do
        Assert.Throws<ArgumentException>(fun () -> LearningRate.require bad) |> ignore

    for bad in [ Optimiser.Sgd 1.0; Optimiser.Adam(nan, 0.9, 1e-8); Optimiser.AdamW(0.9, 0.99, 1e-8, -1.0) ] do
        Assert.Throws<ArgumentException>(fun () -> Optimiser.require bad) |> ignore
