/// Random inputs as plain whole numbers that print and shrink, and what the laws build from them.
module ValueFlow.FlowsTests.Interpolants.Draw

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Flows

/// All numbers of a trial come from these.
type Draw = { Choice: int; Moment: int; Numbers: int list }

/// A number in [-2, 2], another one for each index.
let number (draw: Draw) (index: int) : float =
    let given = if draw.Numbers.IsEmpty then 0 else draw.Numbers[index % draw.Numbers.Length]
    float (((given + 37 * index) % 101 + 101) % 101) / 25.0 - 2.0

/// A number in [0.3, 1.5].
let positive (draw: Draw) (index: int) : float = 0.9 + 0.3 * number draw index

let private fraction (draw: Draw) (salt: int) = float (1 + (abs (draw.Moment % 977) + 211 * salt) % 977) / 978.0

/// A time in (0, 1).
let time (draw: Draw) : float = fraction draw 0

/// A time in [0.02, 0.98].
let innerTime (draw: Draw) : float = 0.02 + 0.96 * time draw

/// Times of rows in [0.02, 0.98].
let innerTimes (draw: Draw) (count: int) : float[] = Array.init count (fun i -> 0.02 + 0.96 * fraction draw i)

/// Every kind of interpolant, with every kind of latent noise.
let interpolants: Interpolant[] =
    let power n = Schedule.create (fun t -> t ** n) (fun t -> n * t ** (n - 1.0))

    [|
        Interpolant.linear Latent.none
        Interpolant.brownianBridge 1.0
        Interpolant.brownianBridge 0.3
        Interpolant.linear (Latent.quadratic 2.0)
        Interpolant.linear (Latent.sineSquared 0.7)
        Interpolant.linear (Latent.sigmoid 10.0)
        Interpolant.trigonometric Latent.none
        Interpolant.trigonometric (Latent.brownian 2.0)
        Interpolant.encodingDecoding
        Interpolant.mirror (Latent.brownian 1.0)
        Interpolant.mirror (Latent.quadratic 1.5)
        Interpolant.oneSided "one-sided linear" Schedule.remaining Schedule.time
        Interpolant.withGaussianStart (Interpolant.brownianBridge 0.5)
        Interpolant.variancePreserving (Schedule.scale (Math.PI / 2.0) (power 2.0))
        Interpolant.diffusion 0.1 20.0
        Interpolant.diffusion 0.0 12.0
        Interpolant.create "squares" (Schedule.reverse (power 2.0)) (power 2.0) (Latent.brownian 0.5)
        Interpolant.reverse (Interpolant.linear (Latent.quadratic 2.0))
        Interpolant.reverse (Interpolant.oneSided "one-sided cubic" (Schedule.reverse (power 3.0)) (power 3.0))
        Interpolant.reverse (Interpolant.withGaussianStart (Interpolant.trigonometric (Latent.sineSquared 0.5)))
    |]

/// One of them.
let interpolant (draw: Draw) : Interpolant = interpolants[(draw.Choice % interpolants.Length + interpolants.Length) % interpolants.Length]

/// A float64 tensor (rows, columns).
let table (rows: float[][]) : torch.Tensor =
    torch.tensor(Array.concat rows, dtype = torch.float64).reshape [| int64 rows.Length; int64 rows[0].Length |]

/// A float64 tensor (count).
let vector (values: float[]) : torch.Tensor = torch.tensor (values, dtype = torch.float64)

/// A 0-dimensional float64 tensor.
let scalar (value: float) : torch.Tensor = torch.tensor (value, dtype = torch.float64)

/// Random rows (count, d).
let points (draw: Draw) (salt: int) (count: int) (d: int) : torch.Tensor =
    table (Array.init count (fun i -> Array.init d (fun j -> number draw (salt + i * d + j))))

/// The values of a float64 tensor.
let values (x: torch.Tensor) : float[] = (x.detach().``to``(torch.float64).contiguous()).data<float>().ToArray()

/// max |a - b| / (1 + max |b|).
let distance (a: torch.Tensor) (b: torch.Tensor) : float =
    Assert.Equal<int64[]>(b.shape, a.shape)
    let a, b = values a, values b
    let scale = 1.0 + Array.fold (fun most y -> Math.Max(most, abs y)) 0.0 b
    Array.fold2 (fun most x y -> if Double.IsNaN(x - y) then nan else Math.Max(most, abs (x - y) / scale)) 0.0 a b

/// Relative to 1 + |b|.
let gap (a: float) (b: float) : float = abs (a - b) / (1.0 + abs b)

/// A full covariance matrix R R' + floor I.
let covariance (draw: Draw) (salt: int) (d: int) : float[,] =
    let root = Array2D.init d d (fun i j -> 0.5 * number draw (salt + i * d + j))

    Array2D.init d d (fun i j ->
        Seq.sum (seq { for k in 0 .. d - 1 -> root[min i j, k] * root[max i j, k] }) + (if i = j then 0.2 else 0.0))

/// A normal law with a full covariance.
let gaussian (draw: Draw) (salt: int) (d: int) : GaussianLaw =
    GaussianLaw.create (Array.init d (fun i -> number draw (salt + i))) (covariance draw (salt + 5) d)

/// A mixture of <c>count</c> such laws.
let mixture (draw: Draw) (salt: int) (d: int) (count: int) : MixtureLaw =
    MixtureLaw.create
        (Array.init count (fun k -> positive draw (salt + 40 + k)))
        (Array.init count (fun k -> gaussian draw (salt + 11 * k) d))

/// Ends that the interpolant allows: the Gaussian end is N(0, I), the others are mixtures.
let ends (interpolant: Interpolant) (draw: Draw) (d: int) (count: int) : MixtureLaw * MixtureLaw =
    let standard = MixtureLaw.single (GaussianLaw.standard d)

    match interpolant.Gaussian with
    | GaussianEnd.Neither -> mixture draw 3 d count, mixture draw 71 d count
    | GaussianEnd.Start -> standard, mixture draw 71 d count
    | GaussianEnd.Finish -> mixture draw 3 d count, standard

/// Where random draws start; the environment variable VALUEFLOW_SEED tries others.
let seed: uint64 =
    match UInt64.TryParse(Environment.GetEnvironmentVariable "VALUEFLOW_SEED") with
    | true, seed -> seed
    | _ -> 1UL

let private config (count: int) = Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(seed, 1UL).WithQuietOnSuccess true

/// The law's residual stays below the tolerance on random draws; no tensor stays behind.
let holds (count: int) (tolerance: float) (law: Draw -> float) : unit =
    Check.One(
        config count,
        fun (draw: Draw) ->
            let before = Lifetime.live ()
            let residual = Lifetime.within (fun () -> law draw)
            let left = Lifetime.live () - before
            (residual <= tolerance && left = 0L) |> Prop.label $"residual {residual} <= {tolerance}, tensors left {left}"
    )

/// The law finds a counterexample to a wrong variant.
let refutes (count: int) (tolerance: float) (law: Draw -> float) : unit =
    Assert.ThrowsAny<Exception>(fun () -> holds count tolerance law).Message
    |> fun message -> Assert.Contains("Falsifiable", message)

/// The message of the ArgumentException that the work ends with.
let refusal (work: unit -> unit) : string = (Assert.ThrowsAny<ArgumentException> work).Message

/// The work makes <c>fresh</c> tensors, leaves nothing else behind, and leaves its inputs as they were.
let isPure (fresh: int64) (inputs: torch.Tensor list) (work: unit -> torch.Tensor list) : unit =
    let before = inputs |> List.map values
    let live = Lifetime.live ()
    let results = work ()
    Assert.Equal(fresh, Lifetime.live () - live)
    Assert.All(results, fun result -> Assert.DoesNotContain(inputs, fun input -> Object.ReferenceEquals(input, result)))
    results |> List.iter _.Dispose()
    Assert.Equal<float[] list>(before, inputs |> List.map values)
