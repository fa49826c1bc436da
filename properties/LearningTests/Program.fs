/// The tests' assembly as a program: a training that a test kills, and a measurement.
module ValueFlow.LearningTests.Program

open ValueFlow.LearningTests.Speed
open ValueFlow.LearningTests.Training

[<EntryPoint>]
let main (arguments: string[]) : int =
    match arguments with
    | [| "train"; steps; every; checkpoint; result |] ->
        Runs.toTheEnd (int steps) (int every) checkpoint result |> ignore
        0
    | [| "speed" |] ->
        TrainingSpeed.print System.Console.WriteLine
        0
    | _ -> 2
