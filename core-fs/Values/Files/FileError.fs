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

/// How a reader words places, and where its states stand.
type internal Places =
    {
        /// The places from one to another, in words.
        Words: int -> int -> string
        /// Where a state stands, for errors that have no place of their own; 0 for nowhere.
        OfState: int -> int
        /// A state in words.
        Named: int -> string
    }

/// Places as text files have them.
[<RequireQualifiedAccess>]
module internal Places =

    /// Lines, with the line of each state.
    let lines (ofState: int -> int) : Places =
        {
            Words = fun first last -> if last > first then $"lines {first} to {last}" else $"line {first}"
            OfState = ofState
            Named = fun state -> $"state {state}"
        }

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

    /// Adds an error about all lines from one to another.
    member this.AddBetween(first: int, last: int, expected: string, found: string) : unit =
        this.AddAt((Places.lines (fun _ -> 0)).Words first last, first, last, expected, found)

    /// Adds what a model builder found.
    member this.AddModel(found: ModelError list, places: Places) : unit =
        for error in found do
            let struct (expected, finding) = ModelError.expectation error.Fault

            let who =
                [
                    if error.State >= 0 then
                        places.Named error.State
                    if error.Action >= 0 then
                        $"action {error.Action}"
                ]
                |> String.concat ", "

            let line = if error.Place < 0 && error.State >= 0 then places.OfState error.State else Math.Max(0, error.Place)
            let until = Math.Max(line, error.Until)
            let place = if line = 0 then "" else places.Words line until

            let words =
                if who = "" then place
                elif place = "" then who
                else $"{place} ({who})"

            this.AddAt(words, line, until, expected, finding)

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
