namespace ValueFlow.Tests.Files

open System
open System.IO
open Parquet
open Parquet.Schema
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// A folder that is gone afterwards.
type Folder() =
    let path = Path.Combine(Path.GetTempPath(), $"valueflow-{Guid.NewGuid():N}")
    do Directory.CreateDirectory path |> ignore
    member _.At(name: string) = Path.Combine(path, name)

    member this.Write(name: string, text: string) =
        File.WriteAllText(this.At name, text)
        this.At name

    interface IDisposable with
        member _.Dispose() = Directory.Delete(path, true)

/// Random models and logs that files can hold.
module Fixture =

    /// A model with labels, names, terminals; with intervals or without; with rewards of rows, or of transitions.
    let model (seed: int) (intervals: bool) (byTransition: bool) : Model =
        let generator = Generator seed
        let states = 2 + generator.Below 5
        let builder = ModelBuilder states

        if generator.Uniform() < 0.5 then
            builder.ActionNames [| "left"; "right"; "stay put" |]

        if generator.Uniform() < 0.5 then
            builder.StateNames(Array.init states (fun s -> $"({s / 3},{s % 3})"))

        builder.Initial 0
        builder.Terminal(states - 1)
        builder.Label("goal", states - 1, -1)
        builder.DeclareLabel "never"

        for s in 0 .. states - 2 do
            for a in 0 .. generator.Below 3 do
                let branching = 1 + generator.Below states
                let successors = Sampling.distinct generator branching states |> Array.sort
                let chances = Sampling.simplex generator branching
                let reward = if generator.Uniform() < 0.5 then 0.0 else 10.0 * generator.Uniform() - 5.0

                successors
                |> Array.iteri (fun i successor ->
                    let reward = if byTransition then reward + float i else reward

                    if intervals then
                        let spread = 0.5 * generator.Uniform()

                        builder.AddInterval(
                            s,
                            a,
                            successor,
                            chances[i] * (1.0 - spread),
                            min 1.0 (chances[i] * (1.0 + spread)),
                            reward,
                            -1
                        )
                    else
                        builder.Add(s, a, successor, chances[i], reward))

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// The words of errors, or an exception if there are none.
    let words (result: Result<'a, FileError list>) : string =
        match result with
        | Ok _ -> invalidOp "no error was found"
        | Error errors -> errors |> List.map FileError.describe |> String.concat "\n"

    /// What a reader made, or an exception with its errors.
    let ok (result: Result<'a, FileError list>) : 'a =
        match result with
        | Ok value -> value
        | Error errors -> invalidOp (errors |> List.map FileError.describe |> String.concat "\n")

    /// Reads with the standard options.
    let read path = ModelFile.read ModelFile.standard path

    /// A log of a walk on five states: episodes that end, and one that is cut off.
    let logCsv =
        "state,action,reward,next_state,terminated,truncated\n"
        + String.concat "" [ for i in 1..12 -> $"{i % 3},go,0.5,{(i + 1) % 3},false,{string (i % 6 = 5)}\n" ]
        + "0,stop,1,end,true,false\n1,stop,-1,end,true,false\n2,stop,1e0,end,1,0\n"

    /// A Parquet file of text, in row groups of so many rows.
    let parquet (path: string) (header: string[]) (rows: string[][]) (size: int) : unit =
        let fields = header |> Array.map (fun name -> DataField(name, typeof<string>, Nullable false))
        let schema = ParquetSchema(fields |> Seq.cast<Field> |> Array.ofSeq)

        let write () =
            task {
                use stream = File.Create path
                let! writer = ParquetWriter.CreateAsync(schema, stream)

                for group in Array.chunkBySize size rows do
                    use rowGroup = writer.CreateRowGroup()

                    for i in 0 .. fields.Length - 1 do
                        let column = group |> Array.map (fun row -> row[i])
                        do! rowGroup.WriteAsync(fields[i], (column :> Collections.Generic.IReadOnlyCollection<string>))

                do! writer.DisposeAsync()
            }

        write().GetAwaiter().GetResult()
