namespace ValueFlow.Core.Learning

open System.IO

/// Files that are there whole or not at all.
[<RequireQualifiedAccess>]
module internal AtomicFile =

    /// Writes a file beside the path (its name and ".partial"), brings it to the disk, and gives it the path's name: whoever reads the path, even after the
    /// process or the machine was stopped at any moment, finds the old content or the new.
    let write (path: string) (content: Stream -> unit) : unit =
        let partial = path + ".partial"

        try
            use stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None)
            content stream
            stream.Flush true
        with _ ->
            File.Delete partial
            reraise ()

        File.Move(partial, path, true)
