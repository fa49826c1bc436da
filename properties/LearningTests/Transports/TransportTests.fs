module ValueFlow.LearningTests.Transports.TransportTests

open System
open System.IO
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.LearningTests.Refutation
open ValueFlow.LearningTests.Files.SafetensorsTests

// Rows whose columns vary, of sizes from tiny to large.
let private rows (seed: int) (count: int) (width: int) : float[][] =
    let generator = Generator seed
    let size = Array.init width (fun _ -> Math.Pow(10.0, float (generator.Below 13 - 6)))
    Array.init count (fun _ -> Array.init width (fun k -> size[k] * (3.0 + Sampling.normal generator)))

let private tensor (rows: float[][]) : torch.Tensor =
    Lifetime.keep (fun () -> (torch.tensor (Array.concat rows)).reshape(int64 rows.Length, int64 rows[0].Length))

let private numbers (x: torch.Tensor) : float[] = x.contiguous().data<float>().ToArray()

let private roundTrip (convert: Standardisation -> Standardisation) (seed: int, PositiveInt count, PositiveInt width) =
    let data = rows seed (2 + count % 40) (1 + width % 5)

    Lifetime.within (fun () ->
        let scale = Standardisation.ofRows data
        let x = tensor data
        let z = Standardisation.apply scale x

        let moment power =
            data
            |> Array.length
            |> fun n -> ((z.pow (Scalar.op_Implicit (power: float))).sum 0L |> numbers) |> Array.map (fun s -> s / float n)

        let back = Standardisation.invert (convert scale) z

        allNear 1e-9 (Array.create scale.Dimension 0.0) (moment 1.0)
        .&. allNear 1e-9 (Array.create scale.Dimension 1.0) (moment 2.0)
        .&. allNear 1e-12 (Array.create (data.Length * scale.Dimension) 1.0) (Array.map2 (/) (numbers back) (numbers x)))

[<Fact>]
let ``standardised columns have mean zero and variance one, and come back`` () =
    holds 60 (roundTrip id)
    refuted (roundTrip (fun scale -> Standardisation.create (scale.Mean |> Array.map (fun m -> 1.001 * m)) scale.Deviation))

[<Fact>]
let ``rows that cannot be standardised are named`` () =
    let message (rows: float[][]) = Assert.Throws<ArgumentException>(fun () -> Standardisation.ofRows rows |> ignore).Message
    Assert.Contains("at least 2 rows but there are 1", message [| [| 1.0 |] |])
    Assert.Contains("row 1 must have 2 numbers, as row 0 has, but has 1", message [| [| 1.0; 2.0 |]; [| 1.0 |] |])
    Assert.Contains("row 1, column 0 must be finite but is NaN", message [| [| 1.0 |]; [| nan |] |])
    Assert.Contains("column 1 must vary but is 0.1 in every row", message [| [| 1.0; 0.1 |]; [| 2.0; 0.1 |]; [| 5.0; 0.1 |] |])
    // A large offset is no constant, and large numbers do not overflow.
    Assert.True((Standardisation.ofRows [| [| 1.7e9 |]; [| 1.7e9 + 1.0 |] |]).Deviation[0] = 0.5)
    Assert.True(Double.IsFinite (Standardisation.ofRows [| [| 1e300 |]; [| -1e300 |] |]).Deviation[0])

let private design = { TransportDesign.standard with Hidden = [ 16; 16 ]; Batch = 32 }

let private trained (seed: int) (design: TransportDesign) (source: TransportSource) =
    let options = { TrainingOptions.standard 60 with Seed = seed; LearningRate = LearningRate.Constant 5e-3 }
    (TransportTraining.run options design [| "a"; "b" |] source (rows 7 200 2)).Transport

let private ends (transport: TrainedTransport) (from: float, until: float) (points: torch.Tensor) =
    TrainedTransport.ode (OdeOptions.adaptive Scheme.dormandPrince5 1e-6) (TimeInterval.Create(from, until)) transport points

[<Fact>]
let ``a transport is the flow of its velocity: there and back, in data units`` () =
    let before = Lifetime.live ()

    Lifetime.within (fun () ->
        use _quiet = torch.no_grad ()
        let transport = trained 3 design TransportSource.Normal
        let start = TrainedTransport.drawBase transport (Generator 5) 40
        let there = (ends transport (0.0, 1.0) start).Final
        let back = (ends transport (1.0, 0.0) there).Final
        let scale = numbers start |> Array.map (fun x -> 1.0 + abs x)
        Array.iteri2 (fun i a b -> Assert.True(abs (a - b) < 1e-3 * scale[i], $"{a} {b}")) (numbers start) (numbers back)
        // An Euler step of a small length follows the velocity, whatever the units of a column.
        let h = 1e-3
        let field = TrainedTransport.velocity transport
        let step = Elementwise.addTimes h (field.Apply (torch.tensor 0.0) start) start
        let exact = (ends transport (0.0, h) start).Final
        let gap = (step.sub exact).div(torch.tensor transport.Scale.Deviation).abs().max().item<float>()
        Assert.True(gap < 1e-4, string gap)
        use foreign = Standardisation.invert transport.Scale (torch.zeros ([| 1L; 2L |], dtype = torch.float64))
        Assert.Equal<float>(transport.Scale.Mean, numbers foreign))

    Assert.Equal(before, Lifetime.live ())

// p integrates to one over a box that holds nearly all of it.
let private mass (logVolume: TrainedTransport -> float) (transport: TrainedTransport) : float =
    Lifetime.within (fun () ->
        use _quiet = torch.no_grad ()
        let n, reach = 40, 6.0
        let mean, deviation = transport.Scale.Mean, transport.Scale.Deviation
        let place k i = mean[k] + deviation[k] * reach * (2.0 * float i / float (n - 1) - 1.0)

        let grid =
            [|
                for i in 0 .. n - 1 do
                    for j in 0 .. n - 1 -> [| place 0 i; place 1 j |]
            |]

        let cell = (2.0 * reach / float (n - 1)) ** 2.0 * deviation[0] * deviation[1]
        let options = { LikelihoodOptions.standard with Ode = OdeOptions.adaptive Scheme.dormandPrince5 1e-4 }
        let found = TrainedTransport.logDensity options transport (tensor grid)

        numbers found.LogDensity
        |> Array.sumBy (fun l -> cell * exp (l + transport.Scale.LogVolume - logVolume transport)))

[<Fact>]
let ``the density in data units integrates to one`` () =
    let transport = trained 4 design TransportSource.Normal
    Assert.Equal(1.0, mass _.Scale.LogVolume transport, 0.01)
    // Without the volume of the standardisation it does not.
    Assert.True(abs (mass (fun _ -> 0.0) transport - 1.0) > 0.1)

[<Fact>]
let ``what is saved is loaded, and a changed file is refused`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "flow.safetensors")

        for path', pairing in
            [
                TransportPath.Linear, TransportPairing.Independent
                TransportPath.BrownianBridge 0.3, TransportPairing.Sinkhorn 0.1
                TransportPath.EncodingDecoding, TransportPairing.OptimalTransport
                TransportPath.Trigonometric, TransportPairing.Independent
            ] do
            let transport = trained 1 { design with Path = path'; Pairing = pairing } (TransportSource.Rows(rows 9 50 2))
            TrainedTransport.save path transport
            let again = TrainedTransport.load path
            Assert.Equal<float32>(transport.Network.Parameters, again.Network.Parameters)
            Assert.Equal(transport.Scale, again.Scale)
            Assert.Equal<string>(transport.Columns, again.Columns)
            Assert.Equal<float>(transport.Losses, again.Losses)

            Assert.Equal(
                (transport.Path, transport.Pairing, transport.Base, transport.Seed, transport.Steps, transport.Outcome),
                (again.Path, again.Pairing, again.Base, again.Seed, again.Steps, again.Outcome)
            )

        // A network that is no transport, and a transport whose facts do not fit it.
        let network, metadata = Network.loadWith path
        let message () = Assert.Throws<InvalidDataException>(fun () -> TrainedTransport.load path |> ignore).Message
        Network.save path network
        Assert.Contains("flow.safetensors: expected transport.", message ())
        let facts = metadata |> Map.filter (fun key _ -> key.StartsWith "transport.")
        Network.saveWith (facts |> Map.add "transport.columns" "[\"a\"]") path network
        Assert.Contains("expected 2 columns, means and deviations, found 1 columns", message ())
        Network.saveWith (facts |> Map.add "transport.deviation" "[1,0]") path network
        Assert.Contains("expected a standardisation of the columns", message ())
        Network.saveWith (facts |> Map.add "transport.path" "bent") path network
        Assert.Contains("expected transport.path to be a known path, found 'bent'", message ()))

[<Fact>]
let ``a score is refused where the velocity does not tell it`` () =
    Lifetime.within (fun () ->
        use _quiet = torch.no_grad ()
        let sde = SdeOptions.create SdeScheme.eulerMaruyama 10
        let level = NoiseLevel.parabola 0.5
        let good = trained 1 design TransportSource.Normal
        let start = TrainedTransport.drawBase good (Generator 1) 4
        Assert.Equal(Reason.ReachedEnd, (TrainedTransport.sde sde level 1 good start).Reason)

        for design, source in
            [
                { design with Pairing = TransportPairing.OptimalTransport }, TransportSource.Normal
                { design with Path = TransportPath.BrownianBridge 0.2 }, TransportSource.Normal
                design, TransportSource.Rows(rows 9 50 2)
            ] do
            let other = trained 1 design source

            let refusal = Assert.Throws<InvalidOperationException>(fun () -> TrainedTransport.sde sde level 1 other start |> ignore)

            Assert.Contains("needs the score", refusal.Message))
