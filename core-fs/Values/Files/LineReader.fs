namespace ValueFlow.Core.Values

open System
open System.Globalization
open System.IO
open System.Text
open System.Threading

/// Reads a text file line by line, knows the number of the line, and refuses lines that no such file has: a hundred megabytes without a line break end
/// after the first, and so does text that is no UTF-8 (nor UTF-16 with its mark): names would run together.
[<Sealed>]
type internal LineReader(path: string, findings: Findings, cancellation: CancellationToken) =

    /// The longest line, in characters.
    static let longest = 1 <<< 20

    /// What stands for bytes that are no UTF-8: no text holds it.
    static let undecodable = '\uFFFF'

    static let encoding =
        Encoding.GetEncoding("utf-8", EncoderFallback.ExceptionFallback, DecoderReplacementFallback(string undecodable))

    let stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 <<< 16)
    let reader = new StreamReader(stream, encoding, true, 1 <<< 16)
    let buffer = Array.zeroCreate<char>(1 <<< 16)
    let mutable filled = 0
    let mutable next = 0
    let line = StringBuilder()
    let mutable number = 0
    let mutable ended = false

    /// The number of the line that was read last, from 1.
    member _.Number = number

    /// The next line without its break, or null at the end.
    member _.Next() : string | null =
        if number % 4096 = 0 then
            cancellation.ThrowIfCancellationRequested()

        line.Clear() |> ignore
        let mutable found = false
        let mutable any = false

        while not found && not ended do
            if next = filled then
                filled <- reader.Read(buffer, 0, buffer.Length)
                next <- 0
                ended <- filled = 0

            if not ended then
                any <- true
                let rest = ReadOnlySpan(buffer, next, filled - next)
                let place = rest.IndexOf '\n'
                let length = if place < 0 then rest.Length else place
                line.Append(rest.Slice(0, length)) |> ignore
                next <- next + length + (if place < 0 then 0 else 1)
                found <- place >= 0

                if line.Length > longest then
                    findings.Add(number + 1, $"a line of at most {longest} characters", "a longer one")
                    raise Unreadable

        if not found && not any then
            null
        else
            number <- number + 1

            if line.Length > 0 && line[line.Length - 1] = '\r' then
                line.Length <- line.Length - 1

            let text = line.ToString()

            if text.Contains undecodable then
                findings.Add(number, "text in UTF-8", FileError.shown (text.Replace(undecodable, '?')))
                raise Unreadable

            text

    /// The next line that is neither blank nor a comment that starts with the mark, or null at the end.
    member this.NextContent(comment: string) : string | null =
        let mutable text = this.Next()
        let skip (text: string) = String.IsNullOrWhiteSpace text || text.StartsWith(comment, StringComparison.Ordinal)

        let mutable going = true

        while going do
            match text with
            | null -> going <- false
            | some when skip some -> text <- this.Next()
            | _ -> going <- false

        text

    interface IDisposable with
        member _.Dispose() =
            reader.Dispose()
            stream.Dispose()

/// Fields of lines: numbers in invariant culture, finite.
[<RequireQualifiedAccess>]
module internal Field =

    let private blanks = [| ' '; '\t' |]

    /// The parts between blanks.
    let split (line: string) : string[] = line.Split(blanks, StringSplitOptions.RemoveEmptyEntries)

    /// A whole number that is not negative.
    let tryIndex (text: string) : int voption =
        match Int32.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture) with
        | true, number -> ValueSome number
        | _ -> ValueNone

    /// A finite number: decimal, or a fraction like 1/3.
    let tryNumber (text: string) : float voption =
        let decimal (part: string) =
            match Double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture) with
            | true, number when Double.IsFinite number -> ValueSome number
            | _ -> ValueNone

        match text.IndexOf '/' with
        | -1 -> decimal text
        | place ->
            match decimal (text.Substring(0, place)), decimal (text.Substring(place + 1)) with
            | ValueSome top, ValueSome bottom when bottom <> 0.0 -> ValueSome(top / bottom)
            | _ -> ValueNone

    /// An interval [l,u], or a number as the interval of one point.
    let tryInterval (text: string) : struct (float * float) voption =
        let trimmed = text.Trim()

        if trimmed.StartsWith '[' && trimmed.EndsWith ']' then
            match trimmed.Substring(1, trimmed.Length - 2).Split ',' with
            | [| lower; upper |] ->
                match tryNumber (lower.Trim()), tryNumber (upper.Trim()) with
                | ValueSome l, ValueSome u -> ValueSome(struct (l, u))
                | _ -> ValueNone
            | _ -> ValueNone
        else
            tryNumber trimmed |> ValueOption.map (fun x -> struct (x, x))
