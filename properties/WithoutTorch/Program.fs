module ValueFlow.WithoutTorch.Program

open System
open System.IO
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

let private chain =
    let builder = ModelBuilder 3
    builder.Add(0, 0, 1, 0.9, 0.0)
    builder.Add(0, 0, 0, 0.1, 0.0)
    builder.Add(1, 0, 2, 0.5, 1.0)
    builder.Add(1, 0, 0, 0.5, 0.0)
    builder.Add(1, 1, 0, 1.0, 0.25)
    builder.Terminal 2

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

// Prints "solved" and the value, then "refused" and the message of the tensor form; exit code 0 if both went as they should.
[<EntryPoint>]
let main _ =
    let solution = ValueIteration.solve RunOptions.standard (Bellman.Optimality(chain, 0.9))
    printfn $"solved {solution.Values[0]:R} within {solution.Bound:R}"

    if File.Exists "/proc/self/maps" && File.ReadLines "/proc/self/maps" |> Seq.exists _.Contains("libtorch") then
        printfn "libtorch was loaded"
        1
    else
        try
            use rows = new TensorRows(Kernel(chain, 0.9))
            printfn $"tensors of {rows.Kernel.Model.RowCount} rows without libtorch"
            1
        with :? InvalidOperationException as refusal ->
            printfn $"refused: {refusal.Message}"
            0
