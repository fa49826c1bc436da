module ValueFlow.LearningTests.Networks.NetworkTests

open System
open Xunit
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Learning
open ValueFlow.LearningTests.Refutation
open ValueFlow.LearningTests.Networks.Sketch

let private forward (configuration: NetworkConfiguration) (case: Case) : float[] =
    let fused = FusedNetwork configuration
    fused.Load(ReadOnlySpan case.Parameters)
    let values: float32[] = Array.zeroCreate (case.Rows * configuration.Output)
    fused.Forward(case.Rows, ReadOnlySpan case.X, ReadOnlySpan case.T, ReadOnlySpan case.Condition, Span values)
    Array.map float values

let private regression (case: Case) : float * float[] =
    let fused = FusedNetwork case.Configuration
    fused.Load(ReadOnlySpan case.Parameters)
    let gradient: float32[] = Array.zeroCreate case.Parameters.Length

    let loss =
        fused.Regression(
            case.Loss,
            case.Rows,
            ReadOnlySpan case.X,
            ReadOnlySpan case.T,
            ReadOnlySpan case.Condition,
            ReadOnlySpan case.Targets,
            ReadOnlySpan case.Weights,
            Span gradient
        )

    loss, Array.map float gradient

let private exact (case: Case) : torch.Tensor = tensor torch.float64 [ case.Parameters.Length ] case.Parameters

let private forwardLaw (fused: Case -> float[]) (sketch: Sketch) =
    let case = case sketch

    let expected =
        Lifetime.within (fun () -> numbersOf (TensorForm.apply case.Configuration (exact case) (inputs torch.float64 case)))

    allNear 2e-6 expected (fused case)

[<Fact>]
let ``the fused forward pass is the tensor form, for every activation, depth, time input and condition`` () =
    holds 300 (forwardLaw (fun case -> forward case.Configuration case))

[<Fact>]
let ``a wrong activation, and a value that is off by 1e-4, are found`` () =
    let other (case: Case) =
        let wrong =
            match case.Configuration.Activation with
            | Activation.Selu -> Activation.Elu
            | _ -> Activation.Selu

        forward { case.Configuration with Activation = wrong } case

    refuted (forwardLaw other)
    refuted (forwardLaw (fun case -> forward case.Configuration case |> Array.map (fun value -> value * 1.0001)))

let private gradientLaw (fused: Case -> float * float[]) (sketch: Sketch) =
    let case = case sketch

    let expectedLoss, expected, direction, slope =
        Lifetime.within (fun () ->
            let leaf: torch.Tensor = (exact case).requires_grad_ true
            let value: torch.Tensor = loss case leaf
            value.backward ()
            let gradient = numbersOf (nonNull leaf.grad)
            // The numerical derivative along a random direction, in float64.
            let generator = Generator(sketch.Seed + 1)
            let direction = Array.init gradient.Length (fun _ -> Sampling.normal generator)
            let point = numbersOf leaf
            // So short that hardly a kink lies within it.
            let step = 1e-8

            let at sign =
                let moved: torch.Tensor = torch.tensor (Array.map2 (fun p d -> p + sign * step * d) point direction)
                (loss case moved).item<float>()

            value.item<float>(), gradient, direction, (at 1.0 - at -1.0) / (2.0 * step))

    let foundLoss, found = fused case
    let along = Array.map2 (*) found direction |> Array.sum
    near 5e-6 expectedLoss foundLoss .&. allNear 5e-6 expected found .&. near 1e-4 slope along

[<Fact>]
let ``the fused gradient is autograd's and the numerical one, for every activation, depth and loss`` () = holds 300 (gradientLaw regression)

[<Fact>]
let ``a gradient without its last layer's bias, and one that is off by one in a thousand, are found`` () =
    refuted (
        gradientLaw (fun case ->
            let loss, gradient = regression case
            gradient[gradient.Length - 1] <- 0.0
            loss, gradient)
    )

    refuted (
        gradientLaw (fun case ->
            let loss, gradient = regression case
            loss, Array.map (fun g -> 1.001 * g) gradient)
    )

[<Fact>]
let ``activations keep their value and slope over the whole line, and what is no number stays none`` () =
    for activation in Activation.all do
        let configuration = NetworkConfiguration.mlp 1 [ 1 ] 1 activation
        // weight 1, bias 0, weight 1, bias 0: the network is the activation.
        let parameters = [| 1.0f; 0.0f; 1.0f; 0.0f |]
        let x = [| for i in -400 .. 400 -> float32 i / 4.0f |]
        let fused = FusedNetwork configuration
        fused.Load(ReadOnlySpan parameters)
        let values: float32[] = Array.zeroCreate x.Length
        fused.Forward(x.Length, ReadOnlySpan x, ReadOnlySpan.Empty, ReadOnlySpan.Empty, Span values)

        let expected = Lifetime.within (fun () -> numbersOf (Activation.apply activation (torch.tensor(x).``to`` torch.float64)))

        for i in 0 .. x.Length - 1 do
            Assert.True(
                abs (expected[i] - float values[i]) <= 5e-7 * (1.0 + abs expected[i]),
                $"{activation} at {x[i]}: {expected[i]} {values[i]}"
            )

        for bad in [ nan; infinity ] do
            fused.Forward(1, ReadOnlySpan [| float32 bad |], ReadOnlySpan.Empty, ReadOnlySpan.Empty, Span(values, 0, 1))

            if Double.IsNaN bad || activation <> Activation.Tanh then
                Assert.False(Single.IsFinite values[0], $"{activation} of {bad} is {values[0]}")

let private timeNetwork (seed: int) : Network =
    NetworkConfiguration.timeMlp 3 [ 20; 17 ] Activation.Silu
    |> Network.init Initialisation.Linear (Generator seed)

[<Fact>]
let ``one time for all rows is the same time in every row, with and without recording`` () =
    holds 50 (fun (seed: int) ->
        Lifetime.within (fun () ->
            let field = NetworkField.field (timeNetwork seed)
            let x: torch.Tensor = tensor torch.float32 [ 5; 3 ] (Array.init 15 (fun i -> float32 i / 7.0f))
            let one: torch.Tensor = torch.tensor 0.3f
            let each: torch.Tensor = one.expand ([| 5L |])
            let plain = numbersOf (field.Apply one x)
            let recorded: torch.Tensor = field.Apply one (x.clone().requires_grad_ true)
            Assert.True recorded.requires_grad
            Assert.False (field.Apply one x).requires_grad
            let exact = numbersOf (field.Apply (one.``to`` torch.float64) (x.``to`` torch.float64))

            allNear 0.0 plain (numbersOf (field.Apply each x))
            .&. allNear 2e-6 plain (numbersOf recorded)
            .&. allNear 2e-6 exact plain))

[<Fact>]
let ``a field leaves one tensor, its value, and changes nothing; rows do not see one another`` () =
    let field = NetworkField.field (timeNetwork 3)
    use x = tensor torch.float32 [ 70; 3 ] (Array.init 210 (fun i -> sin (float32 i)))
    use t: torch.Tensor = torch.tensor 0.7f
    let before = numbersOf x

    for recording in [ false; true ] do
        use y: torch.Tensor = if recording then x.clone().requires_grad_ true else x.alias ()
        Assert.Equal(1L, Lifetime.born (fun () -> field.Apply t y |> ignore))

    Assert.Equal<float[]>(before, numbersOf x)

    Lifetime.within (fun () ->
        let all = numbersOf (field.Apply t x)

        for row in [ 0; 5; 63; 64; 69 ] do
            Assert.Equal<float[]>(all[3 * row .. 3 * row + 2], numbersOf (field.Apply t (x.narrow (0L, int64 row, 1L)))))

[<Fact>]
let ``several threads may ask a field at once`` () =
    let field = NetworkField.field (timeNetwork 4)

    let ask (seed: int) =
        Lifetime.within (fun () ->
            let generator = Generator seed
            let x: torch.Tensor = tensor torch.float32 [ 90; 3 ] (Array.init 270 (fun _ -> float32 (Sampling.normal generator)))
            numbersOf (field.Apply (torch.tensor (float32 seed)) x))

    let alone = Array.init 40 ask
    Assert.Equal<float[][]>(alone, Array.Parallel.init 40 ask)

[<Fact>]
let ``an action is differentiable by points and time, and its field again by parameters`` () =
    let configuration =
        { NetworkConfiguration.timeMlp 2 [ 11; 9 ] Activation.Silu with
            Output = 1
            Time = TimeInput.Fourier 2
        }

    let network = Network.init Initialisation.Linear (Generator 5) configuration

    // Sum over rows of |grad s|^2 / 2 + ds/dt: what action matching minimises.
    let functional (parameters: torch.Tensor) : torch.Tensor =
        let x: torch.Tensor = (tensor torch.float64 [ 4; 2 ] (Array.init 8 (fun i -> cos (float32 i)))).requires_grad_ true
        let t: torch.Tensor = (tensor torch.float64 [ 4 ] [| 0.1f; 0.2f; 0.5f; 0.9f |]).requires_grad_ true
        let s: torch.Tensor = TensorForm.action configuration parameters t x
        let total: torch.Tensor = s.sum ()
        let found = torch.autograd.grad ([| total |], [| x; t |], retain_graph = true, create_graph = true, allow_unused = true)
        (Elementwise.times 0.5 (found[0].mul(found[0]).sum())).Plus(found[1].sum())

    Lifetime.within (fun () ->
        let leaf: torch.Tensor = (tensor torch.float64 [ network.Parameters.Length ] network.Parameters).requires_grad_ true
        (functional leaf).backward()
        let gradient = numbersOf (nonNull leaf.grad)
        let generator = Generator 6
        let direction = Array.init gradient.Length (fun _ -> Sampling.normal generator)
        let point = numbersOf leaf
        let at sign = (functional (torch.tensor (Array.map2 (fun p d -> p + sign * 1e-5 * d) point direction))).item<float>()
        let slope = (at 1.0 - at -1.0) / 2e-5
        Assert.Equal(slope, Array.map2 (*) gradient direction |> Array.sum, 6)
        // The network with fixed parameters agrees.
        let x: torch.Tensor = tensor torch.float32 [ 4; 2 ] (Array.init 8 (fun i -> cos (float32 i)))
        let t: torch.Tensor = torch.tensor 0.4f
        let fused = numbersOf (NetworkField.action network t x)
        let plain = numbersOf (TensorForm.action configuration (torch.tensor network.Parameters) t x)
        Assert.True((Array.forall2 (fun a b -> abs (a - b) < 2e-6) fused plain), $"%A{fused} %A{plain}"))

[<Fact>]
let ``a conditional field reads one condition for all rows, or one a row`` () =
    let configuration = { NetworkConfiguration.timeMlp 2 [ 8 ] Activation.Tanh with Condition = 2 }
    let network = Network.init Initialisation.Glorot (Generator 1) configuration

    Lifetime.within (fun () ->
        let one: torch.Tensor = tensor torch.float32 [ 1; 2 ] [| 0.3f; -0.4f |]
        let each: torch.Tensor = one.repeat ([| 6L; 1L |])
        let x: torch.Tensor = tensor torch.float32 [ 6; 2 ] (Array.init 12 float32)
        let t: torch.Tensor = torch.tensor 0.5f
        let a = (NetworkField.conditional one network).Apply t x
        let b = (NetworkField.conditional each network).Apply t x
        Assert.Equal<float[]>(numbersOf a, numbersOf b))

[<Fact>]
let ``initial parameters have the range or variance of their rule, and depend on the seed alone`` () =
    let configuration = NetworkConfiguration.mlp 100 [ 400 ] 1 Activation.Relu
    let draw rule seed = (Network.init rule (Generator seed) configuration).Parameters

    for rule, variance in
        [
            Initialisation.Linear, 1.0 / 300.0
            Initialisation.LeCun, 1.0 / 100.0
            Initialisation.Glorot, 2.0 / 500.0
            Initialisation.He, 2.0 / 100.0
        ] do
        let weights = draw rule 1 |> Array.take 40_000 |> Array.map float
        Assert.Equal(variance, Array.averageBy (fun w -> w * w) weights, variance * 0.03)
        Assert.Equal<float32[]>(draw rule 1, draw rule 1)
        Assert.NotEqual<float32[]>(draw rule 1, draw rule 2)
        let bias = draw rule 1 |> Array.skip 40_000 |> Array.take 400
        Assert.Equal((rule <> Initialisation.Linear), Array.forall ((=) 0.0f) bias)

    Assert.True(draw Initialisation.Linear 1 |> Array.take 40_400 |> Array.forall (fun w -> abs w <= 0.1f))

[<Fact>]
let ``a configuration survives its JSON, and a bad one is refused with all that is wrong`` () =
    holds 200 (fun (sketch: Sketch) ->
        let configuration = configuration sketch
        NetworkConfiguration.ofJson (NetworkConfiguration.toJson configuration) = Ok configuration)

    let bad = { NetworkConfiguration.mlp 0 [ 3; -1 ] 2 Activation.Relu with Time = TimeInput.Fourier 0 }
    let error = Assert.Throws<ArgumentException>(fun () -> NetworkConfiguration.require bad)

    for part in [ "Input must lie"; "Hidden[1]"; "Fourier frequencies" ] do
        Assert.Contains(part, error.Message)

    for text, part in
        [
            "", "JSON"
            "[]", "Array"
            "{}", "activation"
            """{"activation":"selu"}""", "input"
            """{"activation":"swish"}""", "swish"
            """{"activation":"selu","input":1.5,"time":"absent","condition":0,"hidden":[],"output":1}""", "1.5"
            """{"activation":"selu","input":1,"time":"fourier:x","condition":0,"hidden":[],"output":1}""", "fourier:x"
        ] do
        match NetworkConfiguration.ofJson text with
        | Ok _ -> Assert.Fail text
        | Error problem -> Assert.Contains(part, problem)

[<Fact>]
let ``inputs that do not fit are refused by name before anything is computed`` () =
    let network = timeNetwork 1
    let field = NetworkField.field network

    let refused (name: string) (work: unit -> unit) =
        Lifetime.within (fun () ->
            let error = Assert.Throws<ArgumentException>(Action work)
            Assert.Equal(name, error.ParamName))

    let x () : torch.Tensor = torch.zeros ([| 4L; 3L |])
    let t () : torch.Tensor = torch.tensor 0.0f
    refused "x" (fun () -> field.Apply (t ()) (torch.zeros ([| 4L; 2L |])) |> ignore)
    refused "x" (fun () -> field.Apply (t ()) (torch.zeros ([| 3L |])) |> ignore)
    refused "t" (fun () -> field.Apply (torch.zeros ([| 5L |])) (x ()) |> ignore)
    refused "t" (fun () -> field.Apply (torch.zeros ([| 1L; 1L |])) (x ()) |> ignore)
    refused "t" (fun () -> field.Apply ((t ()).``to`` torch.float64) (x ()) |> ignore)
    refused "x" (fun () -> field.Apply ((t ()).``to`` torch.int64) ((x ()).``to`` torch.int64) |> ignore)
    refused "parameters" (fun () -> Network.create network.Configuration [| 1.0f |] |> ignore)
    refused "parameters" (fun () -> Network.create network.Configuration (Array.create network.Parameters.Length nanf) |> ignore)
    refused "network" (fun () -> NetworkField.action network |> ignore)

    refused "condition" (fun () ->
        NetworkField.apply network { Points = x (); Time = ValueSome(t ()); Condition = ValueSome(x ()) } |> ignore)

    let fused = FusedNetwork network.Configuration
    let values: float32[] = Array.zeroCreate 3

    let short () = fused.Forward(1, ReadOnlySpan values, ReadOnlySpan.Empty, ReadOnlySpan.Empty, Span values)

    refused "t" short
