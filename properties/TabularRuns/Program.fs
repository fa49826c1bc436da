module ValueFlow.TabularRuns.Program

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

[<EntryPoint>]
let main arguments =
    let option name fallback =
        arguments
        |> Array.tryPick (fun (a: string) -> if a.StartsWith(name + "=") then Some(a.Substring(name.Length + 1)) else None)
        |> Option.defaultValue fallback

    let states = int (option "states" "10000")
    let repeats = int (option "repeats" "21")
    let threads = Environment.ProcessorCount
    let discount = float (option "discount" "0.99")

    let model =
        match option "family" "garnet" with
        | "dense" -> Instances.dense states
        | "chain" -> Instances.chain states
        | "grid" -> Instances.grid states
        | _ -> Instances.garnet states (option "single" "no" = "yes")

    use yardstick = new Yardstick(option "yardstick" "", model, discount)
    let kernel = Bellman.Optimality(model, discount)

    let sweeping (bellman: Bellman) =
        let mutable a = Array.zeroCreate<float> model.StateCount
        let mutable b = Array.zeroCreate<float> model.StateCount

        fun () ->
            bellman.Sweep.Apply(a, b, CancellationToken.None) |> ignore
            let c = a
            a <- b
            b <- c

    let own summary = Bellman.Create(model, discount, summary, Extreme Direction.Maximise)

    let works =
        [|
            "C++", (fun () -> yardstick.Sweep threads)
            "built-in", sweeping kernel
            "own struct", sweeping (own OwnSummaries.asStruct)
            "own delegate", sweeping (own OwnSummaries.asDelegate)
        |]

    let times = Timing.inTurns repeats 0.02 (Array.map snd works)
    let transitions = float model.TransitionCount

    for i in 0 .. works.Length - 1 do
        let ratio = Timing.median (Array.map2 (/) times[i] times[0])
        printfn $"%-14s{fst works[i]} %7.3f{1e9 * Timing.median times[i] / transitions} ns (least %.3f{1e9 * Array.min times[i] / transitions}), ratio %.3f{ratio} (least %.3f{Array.min times[i] / Array.min times[0]})"

    let options = { RunOptions.standard with Tolerance = 5e-7 }
    let mutable sweeps = 0

    let certify =
        [|
            (fun () -> sweeps <- yardstick.Certify(threads, 1e-6))
            (fun () -> ValueIteration.solve options kernel |> ignore)
        |]

    let times = Timing.inTurns repeats 0.05 certify
    let solution = ValueIteration.solve options kernel
    printfn $"certificate: C++ {Timing.median times[0]:E3} s, {sweeps} sweeps; ours {Timing.median times[1]:E3} s, {solution.Sweeps} sweeps; ratio %.3f{Timing.median (Array.map2 (/) times[1] times[0])}"
    0
