/// A Brownian path is a pure function of a seed and an interval, and has the law of Brownian motion. Every law refutes a wrong path.
module ValueFlow.Dynamics.Tests.Sde.BrownianTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// What a path answers on [s, u], in units of 1/64 of the span: increment and area.
type Query = int -> int -> struct (float[] * float[])

let private span = 64

let private values (tensor: torch.Tensor) : float[] =
    use tensor = tensor
    tensor.data<float>().ToArray()

let private ask (path: BrownianPath) : Query =
    fun s u ->
        let time i = path.From + (path.Until - path.From) * float i / float span
        let step = path.Step(time s, time u)
        struct (values step.Increment, values step.Area)

let private paths (seed: int) (from: float) (length: float) (cells: int) (size: int) : Query =
    ask (BrownianPath.Create(seed, from, from + length, cells, [ int64 size ], torch.float64))

/// A trial: a seed, a span, cells, and three times in order.
type Trial = { Seed: int; From: float; Length: float; Cells: int; S: int; T: int; U: int }

let private trials: Arbitrary<Trial> =
    let generate =
        gen {
            let! seed = Gen.choose (0, 1_000_000)
            let! from = Gen.elements [ 0.0; -3.0; 0.1; 1000.0 ]
            let! length = Gen.elements [ 1.0; 0.3; 7.0 ]
            let! cells = Gen.elements [ 1; 2; 3; 5; 100 ]
            let! times = Gen.three (Gen.choose (0, span))
            let a, b, c = times
            let sorted = Array.sort [| a; b; c |]

            return
                {
                    Seed = seed
                    From = from
                    Length = length
                    Cells = cells
                    S = sorted[0]
                    T = sorted[1]
                    U = sorted[2]
                }
        }

    let shrink (trial: Trial) =
        seq {
            if trial.From <> 0.0 then
                yield { trial with From = 0.0 }

            if trial.Length <> 1.0 then
                yield { trial with Length = 1.0 }

            if trial.Cells > 1 then
                yield { trial with Cells = 1 }

            if trial.S > 0 then
                yield { trial with S = trial.S / 2 }

            if trial.U < span then
                yield { trial with U = (trial.U + span + 1) / 2 }
        }

    Arb.fromGenShrink (generate, shrink)

let private size = 3

let private close (a: float[]) (b: float[]) = Array.forall2 (fun (x: float) y -> abs (x - y) <= 1e-12 * (1.0 + abs x + abs y)) a b

/// W(s, u) = W(s, t) + W(t, u), and the areas join.
let private joins (make: Trial -> Query) (trial: Trial) =
    let query = make trial
    let struct (w1, a1) = query trial.S trial.T
    let struct (w2, a2) = query trial.T trial.U
    let struct (w, a) = query trial.S trial.U
    let h1, h2 = float (trial.T - trial.S), float (trial.U - trial.T)
    let h = max 1.0 (h1 + h2)

    let area =
        Array.init size (fun i -> (h1 * (0.5 * w1[i] + a1[i]) + h2 * (w1[i] + 0.5 * w2[i] + a2[i])) / h - 0.5 * (w1[i] + w2[i]))

    close w (Array.map2 (+) w1 w2) && (trial.S = trial.U || close a area)

/// The same question has the same answer, whatever was asked in between.
let private remembers (make: Trial -> Query) (trial: Trial) =
    let query = make trial
    let struct (w, a) = query trial.S trial.U
    query trial.T span |> ignore
    query 0 trial.T |> ignore
    let struct (w', a') = query trial.S trial.U
    let struct (w'', a'') = make trial trial.S trial.U
    w = w' && a = a' && w = w'' && a = a''

let private right (trial: Trial) = paths trial.Seed trial.From trial.Length trial.Cells size

// Draws afresh whenever it is asked.
let private forgetful (trial: Trial) : Query =
    let generator = Generator trial.Seed
    fun s u -> struct (Array.init size (fun _ -> sqrt (float (u - s)) * Sampling.normal generator), Array.zeroCreate size)

let private holds (law: Trial -> bool) = Check.One(Config.QuickThrowOnFailure.WithReplay(7UL, 1UL).WithMaxTest(200), Prop.forAll trials law)

let private refuted (law: Trial -> bool) =
    let error = Record.Exception(fun () -> holds law)
    Assert.NotNull error
    Assert.Contains("Falsifiable", error.Message)

[<Fact>]
let ``increments add up, and areas join; a path that draws afresh is refuted`` () =
    holds (joins right)
    refuted (joins forgetful)

[<Fact>]
let ``the same question gets the same answer in any order; a path that draws afresh is refuted`` () =
    holds (remembers right)
    refuted (remembers forgetful)

[<Fact>]
let ``backwards the increment is the negative and the area the same`` () =
    let property (trial: Trial) =
        let query = right trial
        let struct (w, a) = query trial.S trial.U
        let struct (w', a') = query trial.U trial.S
        close w (Array.map (~-) w') && close a a'

    holds property

// The largest gap, in standard errors, between the moments of (w, a) over neighbouring intervals and those of Brownian motion.
let private surprise (query: Query) (length: float) =
    let samples = 20_000
    let s, t, u = 16, 24, 32
    let struct (w1, a1) = query s t
    let struct (w2, a2) = query t u
    let h = length * float (t - s) / float span
    let mean (x: float[]) = Array.average x
    let moment (x: float[]) (y: float[]) = mean (Array.map2 (*) x y)
    let error scale = scale / sqrt (float samples)

    [
        mean w1 / error (sqrt h)
        mean a1 / error (sqrt (h / 12.0))
        (moment w1 w1 - h) / error (sqrt 2.0 * h)
        (moment a1 a1 - h / 12.0) / error (sqrt 2.0 * h / 12.0)
        (moment w2 w2 - h) / error (sqrt 2.0 * h)
        moment w1 a1 / error (h / sqrt 12.0)
        moment w1 w2 / error h
        moment w1 a2 / error (h / sqrt 12.0)
        moment a1 w2 / error (h / sqrt 12.0)
        moment a1 a2 / error (h / 12.0)
        (mean (Array.map (fun x -> x * x * x * x) w1) - 3.0 * h * h) / error (sqrt 96.0 * h * h)
    ]
    |> List.map abs
    |> List.max

[<Fact>]
let ``increments and areas have the law of Brownian motion; halves that forget the area are refuted`` () =
    for seed in 1..5 do
        for cells in [ 1; 3; 64 ] do
            let length = 2.0
            Assert.True(surprise (paths seed 0.5 length cells 20_000) length < 5.0, $"seed {seed}, {cells} cells")

    // A midpoint that looks at the chord alone, as a path without areas does.
    let wrong: Query =
        let generator = Generator 1

        fun s u ->
            let h = 2.0 * float (u - s) / float span
            let w = Array.init 20_000 (fun _ -> sqrt h * Sampling.normal generator)
            struct (w, w |> Array.map (fun x -> 0.1 * x + sqrt (h / 12.0) * Sampling.normal generator))

    Assert.True(surprise wrong 2.0 > 5.0)

[<Fact>]
let ``steps that are no dyadic part of the span are found, and times outside are refused`` () =
    let path = BrownianPath.Create(3, 0.0, 1.0, 1, [ 2L ], torch.float64)
    let step = 0.01
    let sum = Array.zeroCreate<float> 2

    for n in 0..99 do
        let w = values (path.Increment(step * float n, step * float (n + 1)))
        w |> Array.iteri (fun i x -> sum[i] <- sum[i] + x)

    Assert.True(close sum (values (path.Increment(0.0, 1.0))))

    Assert.Throws<ArgumentException>(fun () -> path.Increment(0.0, 1.01) |> ignore).Message
    |> fun text -> Assert.Contains("[0, 1]", text)

    Assert.Throws<ArgumentException>(fun () -> path.Increment(nan, 1.0) |> ignore) |> ignore

    Assert.Throws<ArgumentException>(fun () -> BrownianPath.Create(1, 1.0, 1.0, 1, [ 1L ], torch.float64) |> ignore)
    |> ignore

[<Fact>]
let ``a path leaves one tensor behind for each that it hands out`` () =
    let path = BrownianPath.Create(3, 0.0, 1.0, 8, [ 5L; 2L ], torch.float32)

    let born =
        Lifetime.born (fun () ->
            for n in 0..99 do
                let step = path.Step(float n / 100.0, float (n + 1) / 100.0)
                step.Increment.Dispose()
                step.Area.Dispose())

    Assert.Equal(0L, born)
