namespace ValueFlow.Benchmarks

open System
open System.Diagnostics
open System.Threading

/// What one call costs, a number for each repeat.
type Timing =
    {
        /// Seconds of this process's processor time: what other programs take of the machine is not in it.
        Cpu: float[]
        /// Seconds of the clock.
        Wall: float[]
    }

/// Something to be timed.
type Work =
    {
        /// Calls in a row whose time is divided by their number.
        Calls: int
        /// One call.
        Call: unit -> unit
    }

/// Times of several works, taken in turns within one process: whatever slows the machine down slows all of them down.
[<RequireQualifiedAccess>]
module Measure =

    /// The middle one; the mean of the two middle ones of an even number.
    let median (values: float[]) : float =
        let sorted = Array.sort values
        let half = sorted.Length / 2
        if sorted.Length % 2 = 1 then sorted[half] else 0.5 * (sorted[half - 1] + sorted[half])

    let private block (work: Work) : struct (float * float) =
        let cpu = Environment.CpuUsage.TotalTime
        let clock = Stopwatch.StartNew()

        for _ in 1 .. work.Calls do
            work.Call()

        let wall = clock.Elapsed.TotalSeconds
        let cpu = (Environment.CpuUsage.TotalTime - cpu).TotalSeconds
        struct (cpu / float work.Calls, wall / float work.Calls)

    // Until the runtime has compiled for good what is hot: at least three blocks and a quarter of a second, twice.
    let private warm (work: Work) : unit =
        let clock = Stopwatch.StartNew()
        let mutable blocks = 0

        while blocks < 3 || (clock.Elapsed.TotalSeconds < 0.25 && blocks < 1000) do
            block work |> ignore
            blocks <- blocks + 1

    /// Warms up, then times all works once per repeat; every other repeat runs them in the opposite order.
    let inTurns (repeats: int) (works: Work list) : Timing list =
        for _ in 1..2 do
            List.iter warm works
            Thread.Sleep 150

        let cpu = works |> List.map (fun _ -> Array.zeroCreate<float> repeats)
        let wall = works |> List.map (fun _ -> Array.zeroCreate<float> repeats)
        let order = List.indexed works

        for repeat in 0 .. repeats - 1 do
            for i, work in (if repeat % 2 = 0 then order else List.rev order) do
                let struct (processor, clock) = block work
                cpu[i].[repeat] <- processor
                wall[i].[repeat] <- clock

        List.map2 (fun cpu wall -> { Cpu = cpu; Wall = wall }) cpu wall

    /// The median of the processor time, in seconds.
    let seconds (timing: Timing) : float = median timing.Cpu

    /// The median over repeats of the ratio of processor times.
    let ratio (above: Timing) (below: Timing) : float = median (Array.map2 (/) above.Cpu below.Cpu)
