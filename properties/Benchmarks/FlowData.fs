namespace ValueFlow.Benchmarks

open System
open System.IO
open System.Runtime.InteropServices
open System.Text.Json
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// What the flow benchmarks run on: 8 gaussians to two moons in the plane, and a smooth field in 64 dimensions.
type FlowData =
    {
        /// Where it comes from.
        Source: string
        /// Whether the recorded figures of other libraries were measured on the same numbers.
        IsRecorded: bool
        /// Training rows of 8 gaussians, (131,072 x 2).
        PoolStart: float32[]
        /// Training rows of the moons, (131,072 x 2).
        PoolEnd: float32[]
        /// 10,000 test rows of 8 gaussians.
        TestStart: float32[]
        /// 10,000 test rows of the moons.
        TestEnd: float32[]
        /// 4096 x 64 standard normal numbers.
        Start64: float32[]
        /// 3-64-64-64-2, SELU: the weights that training starts from.
        Initial: Network
        /// The same network after flow matching.
        Trained: Network
        /// 65-64-64-64-64, SiLU.
        Field64: Network
        /// The flow map of <c>Trained</c> at time 1 of the first 256 test rows, in float64.
        Reference2: float[]
        /// The flow map of <c>Field64</c> at time 1 of the first 256 rows, in float64.
        Reference64: float[]
    }

/// Reads or makes the data.
[<RequireQualifiedAccess>]
module FlowData =

    let private refuse (file: string) (expected: string) (found: string) =
        raise (InvalidDataException $"{file}: expected {expected}, found {found}")

    // NAME.json says type and shape of NAME.bin, raw little-endian numbers row by row.
    let private bytes (folder: string) (dtype: string) (shape: int list) (name: string) : byte[] =
        let header = Path.Combine(folder, name + ".json")
        use json = JsonDocument.Parse(File.ReadAllText header)
        let text (key: string) = string (json.RootElement.GetProperty(key).GetString())
        let sizes = [ for size in json.RootElement.GetProperty("shape").EnumerateArray() -> size.GetInt32() ]

        if text "dtype" <> dtype || text "endian" <> "little" then
            refuse (name + ".json") $"little-endian {dtype}" $"""{text "endian"}-endian {text "dtype"}"""

        if sizes <> shape then
            refuse (name + ".json") $"shape %A{shape}" $"%A{sizes}"

        let content = File.ReadAllBytes(Path.Combine(folder, name + ".bin"))
        let wanted = List.fold (*) (if dtype = "float64" then 8 else 4) shape

        if content.Length <> wanted then
            refuse (name + ".bin") $"{wanted} bytes" $"{content.Length}"

        content

    let private float32s folder shape name : float32[] =
        MemoryMarshal.Cast<byte, float32>(ReadOnlySpan(bytes folder "float32" shape name)).ToArray()

    let private float64s folder shape name : float[] =
        MemoryMarshal.Cast<byte, float>(ReadOnlySpan(bytes folder "float64" shape name)).ToArray()

    let private plane = NetworkConfiguration.timeMlp 2 [ 64; 64; 64 ] Activation.Selu
    let private space = NetworkConfiguration.timeMlp 64 [ 64; 64; 64 ] Activation.Silu

    let private network (folder: string) (prefix: string) (configuration: NetworkConfiguration) : Network =
        let inputs, outputs = configuration.Input, configuration.Output
        let widths = [ inputs + 1, 64; 64, 64; 64, 64; 64, outputs ]

        widths
        |> List.mapi (fun i (from, into) ->
            Array.append (float32s folder [ into; from ] $"{prefix}_w{i}") (float32s folder [ into ] $"{prefix}_b{i}"))
        |> Array.concat
        |> Network.create configuration

    /// Reads a folder of .bin and .json files. Throws an IOException, a JsonException or an InvalidDataException that names the file.
    let read (folder: string) : FlowData =
        {
            Source = "recorded data"
            IsRecorded = true
            PoolStart = float32s folder [ 131072; 2 ] "pool_x0"
            PoolEnd = float32s folder [ 131072; 2 ] "pool_x1"
            TestStart = float32s folder [ 10000; 2 ] "test_x0"
            TestEnd = float32s folder [ 10000; 2 ] "test_x1"
            Start64 = float32s folder [ 4096; 64 ] "y0_64"
            Initial = network folder "mlp2_init" plane
            Trained = network folder "mlp2_icfm" plane
            Field64 = network folder "mlp64_field" space
            Reference2 = float64s folder [ 256; 2 ] "ref_dim2_256_f8"
            Reference64 = float64s folder [ 256; 64 ] "ref_dim64_256_f8"
        }

    // Centres on a circle of radius 5; covariance sqrt(0.1) I.
    let private gaussians (generator: Generator) (count: int) : float32[] =
        let spread = Math.Pow(0.1, 0.25)

        Array.init count (fun _ ->
            let angle = 2.0 * Math.PI * float (generator.Below 8) / 8.0
            let x = 5.0 * cos angle + spread * Sampling.normal generator
            [| float32 x; float32 (5.0 * sin angle + spread * Sampling.normal generator) |])
        |> Array.concat

    // Half circles, moved by noise that is uniform on [0, 0.2) and the same in both coordinates; times 3, less 1.
    let private moons (generator: Generator) (count: int) : float32[] =
        Array.init count (fun _ ->
            let angle = Math.PI * generator.Uniform()
            let isOuter = generator.Below 2 = 0
            let x = if isOuter then cos angle else 1.0 - cos angle
            let y = if isOuter then sin angle else 0.5 - sin angle
            let noise = 0.2 * generator.Uniform()
            [| float32 (3.0 * (x + noise) - 1.0); float32 (3.0 * (y + noise) - 1.0) |])
        |> Array.concat

    let private reference (network: Network) (start: float32[]) : float[] =
        use _plain = torch.no_grad ()

        Lifetime.within (fun () ->
            let dimension = int64 network.Configuration.Input
            let rows = Array.map float start[.. 256 * int dimension - 1]
            let x0: torch.Tensor = (torch.tensor rows).reshape(256L, dimension)
            let options = OdeOptions.fixedStep Scheme.rungeKutta4 (1.0 / 1024.0)
            (Ode.solve options (NetworkField.field network) x0 0.0 1.0).Final.data<float>().ToArray())

    /// Data of the same laws from a seed, with a network that is trained for <c>steps</c> steps.
    let make (seed: int) (steps: int) : FlowData =
        let generator = Generator seed
        let poolStart, poolEnd = gaussians (generator.Split()) 131072, moons (generator.Split()) 131072
        let testStart, testEnd = gaussians (generator.Split()) 10000, moons (generator.Split()) 10000
        let initial = Network.init Initialisation.Linear (generator.Split()) plane
        let space = Network.init Initialisation.Linear (generator.Split()) space
        let normals: float[] = Array.zeroCreate (4096 * 64)
        KeyedNoise.normals (KeyedNoise.key seed) normals
        let start64 = Array.map float32 normals

        let pairs =
            FlowMatching.between
                ValueFlow.Core.Flows.Coupling.independent
                (RowSource.ofRows "8 gaussians" 2 (ReadOnlySpan poolStart))
                (RowSource.ofRows "moons" 2 (ReadOnlySpan poolEnd))

        let linear = ValueFlow.Core.Flows.Interpolant.linear ValueFlow.Core.Flows.Latent.none
        let objective = FlowMatching.objective (FlowMatching.options linear) plane pairs
        let trained = (Training.run (TrainingOptions.standard steps) objective initial).Network

        {
            Source = $"own data of the same laws, seed {seed}"
            IsRecorded = false
            PoolStart = poolStart
            PoolEnd = poolEnd
            TestStart = testStart
            TestEnd = testEnd
            Start64 = start64
            Initial = initial
            Trained = trained
            Field64 = space
            Reference2 = reference trained testStart
            Reference64 = reference space start64
        }

    /// Rows of a table of numbers, from the first on, as a tensor that belongs to the caller.
    let rows (dimension: int) (count: int) (numbers: float32[]) : torch.Tensor =
        Lifetime.keep (fun () -> (torch.tensor numbers[.. count * dimension - 1]).reshape(int64 count, int64 dimension))
