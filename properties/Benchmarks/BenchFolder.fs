namespace ValueFlow.Benchmarks

open System
open System.IO

/// Where recorded data lies.
[<RequireQualifiedAccess>]
module BenchFolder =

    let rec private up (folder: DirectoryInfo | null) : DirectoryInfo option =
        match folder with
        | null -> None
        | folder when File.Exists(Path.Combine(folder.FullName, "Hybrid.sln")) -> Some folder
        | folder -> up folder.Parent

    /// ../shared/bench beside the folder of the solution, or a folder in it; nothing where it is not there.
    let find (below: string list) : string option =
        [ AppContext.BaseDirectory; Environment.CurrentDirectory ]
        |> List.tryPick (fun start -> up (DirectoryInfo start))
        |> Option.map (fun root -> Path.GetFullPath(Path.Combine(Array.ofList ([ root.FullName; ".."; "shared"; "bench" ] @ below))))
        |> Option.filter Directory.Exists
