namespace ValueFlow.TabularRuns

open System
open System.Diagnostics

/// Times of several works in turns within one process, by the clock.
[<RequireQualifiedAccess>]
module Timing =

    let private once (calls: int) (work: unit -> unit) : float =
        let start = Stopwatch.GetTimestamp()

        for _ in 1..calls do
            work ()

        Stopwatch.GetElapsedTime(start).TotalSeconds / float calls

    /// Seconds a call, for each work and repeat: each is called until it has taken the given seconds, every other repeat in the opposite order.
    let inTurns (repeats: int) (seconds: float) (works: (unit -> unit)[]) : float[][] =
        let calls =
            works
            |> Array.map (fun work ->
                work ()
                let first = Math.Max(1e-7, once 1 work)
                Math.Clamp(int (seconds / first), 1, 1_000_000))

        let found = works |> Array.map (fun _ -> Array.zeroCreate<float> repeats)

        for repeat in 0 .. repeats - 1 do
            let order = if repeat % 2 = 0 then [| 0 .. works.Length - 1 |] else [| works.Length - 1 .. -1 .. 0 |]

            for i in order do
                found[i][repeat] <- once calls[i] works[i]

        found

    /// The middle one.
    let median (values: float[]) : float = (Array.sort values)[values.Length / 2]
