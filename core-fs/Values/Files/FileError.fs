namespace ValueFlow.Core.Values

open System
open System.IO

/// One thing that is wrong with a file.
type FileError =
    {
        /// The file's name, without its folder.
        File: string
        /// The place in words: "line 17", "lines 12 to 14", "row group 0, row 12"; empty for the file as a whole.
        Place: string
        /// The line, or the row of a table, counted from 1; 0 for the file as a whole.
        Line: int
        /// The last line that the error is about; the line itself as a rule.
        Until: int
        /// What was expected there.
        Expected: string
        /// What was found there.
        Found: string
    }

/// Words for errors in files, the same in both languages.
[<RequireQualifiedAccess>]
module FileError =

    /// The error in one sentence: file, place, expectation and finding.
    let describe (error: FileError) : string =
        let place = if error.Place = "" then "" else $", {error.Place}"
        $"{error.File}{place}: expected {error.Expected}, found {error.Found}"

    /// A finding, cut to what a message can hold, with what cannot be printed replaced.
    let internal shown (text: string) : string =
        let printable = text |> String.map (fun c -> if Char.IsControl c then '?' else c)
        let cut = if printable.Length > 60 then $"{printable.Substring(0, 60)}..." else printable
        if cut.Trim() = "" then "nothing" else $"'{cut}'"

/// Collects what is wrong with a file, in words up to a limit; the rest is counted.
[<Sealed>]
type internal Findings(path: string, limit: int) =
    let errors = ResizeArray<FileError>()
    let mutable count = 0
    let file = FileInfo(path).Name

    /// How many there are.
    member _.Count = count

    /// Adds an error about a place in words.
    member _.AddAt(place: string, line: int, until: int, expected: string, found: string) : unit =
        count <- count + 1

        if errors.Count < limit then
            errors.Add { File = file; Place = place; Line = line; Until = until; Expected = expected; Found = found }

    /// Adds an error about a line.
    member this.Add(line: int, expected: string, found: string) : unit =
        this.AddAt((if line > 0 then $"line {line}" else ""), line, line, expected, found)

    /// Adds what a model builder found, whose places are lines.
    member this.AddModel(found: ModelError list) : unit =
        for error in found do
            let struct (expected, finding) = ModelError.expectation error.Fault

            let who =
                [
                    if error.State >= 0 then
                        $"state {error.State}"
                    if error.Action >= 0 then
                        $"action {error.Action}"
                ]
                |> String.concat ", "

            let place =
                if error.Place < 0 then ""
                elif error.Until > error.Place then $"lines {error.Place} to {error.Until}"
                else $"line {error.Place}"

            let words =
                if who = "" then place
                elif place = "" then who
                else $"{place} ({who})"

            this.AddAt(words, Math.Max(0, error.Place), Math.Max(0, error.Until), expected, finding)

    /// All of them, and how many were left out.
    member _.All: FileError list =
        [
            yield! errors |> Seq.sortBy (fun error -> if error.Line = 0 then Int32.MaxValue else error.Line)

            if count > errors.Count then
                {
                    File = file
                    Place = ""
                    Line = 0
                    Until = 0
                    Expected = "a file without errors"
                    Found = $"{count - errors.Count} more errors"
                }
        ]

/// Raised within a reader where going on makes no sense; never leaves it.
exception internal Unreadable
