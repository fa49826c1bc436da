namespace ValueFlow.Core.Foundations

open System
open System.IO
open System.Text

/// Files that are there whole or not at all.
[<RequireQualifiedAccess>]
module AtomicFile =

    /// Writes a file under another name in the folder of the path, brings it to the disk, and moves it to the path; the folder is made if need be. Whoever reads the path, even
    /// after the process or the machine was stopped at any moment, finds the old content or the new. If the content throws, the path keeps what it had.
    let write (path: string) (content: Stream -> unit) : unit =
        let full = Path.GetFullPath path
        let folder = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue "."
        Directory.CreateDirectory folder |> ignore
        let temporary = Path.Combine(folder, $".{Path.GetFileName full}.{Guid.NewGuid():N}.tmp")

        try
            do
                use stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None)
                content stream
                stream.Flush true

            File.Move(temporary, full, true)
        finally
            if File.Exists temporary then
                File.Delete temporary

    /// The same for text in UTF-8, with line feeds.
    let writeText (path: string) (content: TextWriter -> unit) : unit =
        write path (fun stream ->
            use writer = new StreamWriter(stream, UTF8Encoding false, -1, true, NewLine = "\n")
            content writer)
