namespace ValueFlow.Laws

open System
open System.Collections.Generic
open System.Globalization
open Microsoft.Data.Analysis

/// How a law's trial ended.
type Verdict =
    /// No trial refuted the law.
    | Holds = 0
    /// A trial refuted the law: the counterexample is shown.
    | Refuted = 1
    /// Too few trials were of a kind where operators go wrong.
    | GeneratorTooNarrow = 2
    /// The operator claims nothing that the law could test.
    | NotApplicable = 3

/// How laws are tried.
[<Sealed>]
type LawOptions() =
    /// Trials, at least 1; 200 unless said otherwise.
    member val Cases = 200 with get, set
    /// The seed: the same seed gives the same report. 1 unless said otherwise.
    member val Seed = 1 with get, set
    /// Seconds after which a law starts no new trial, positive; 5 unless said otherwise.
    member val MaximumSeconds = 5.0 with get, set

/// What came of trying a law on an operator.
[<Sealed>]
type Report
    internal
    (
        law: string,
        statement: string,
        subject: string,
        verdict: Verdict,
        seed: int,
        cases: int,
        original: string,
        counterexample: string,
        finding: string,
        measured: float,
        claimed: float,
        labels: IReadOnlyDictionary<string, float>,
        milliseconds: int64
    ) =
    let number (x: float) = x.ToString("G6", CultureInfo.InvariantCulture)

    /// The law's name.
    member _.Law = law
    /// What it says, as a formula.
    member _.Statement = statement
    /// The operator's name.
    member _.Subject = subject
    /// How it ended.
    member _.Verdict = verdict
    /// The seed: give it again for the same report.
    member _.Seed = seed
    /// Trials that were made.
    member _.Cases = cases
    /// The first trial that refuted the law, before it was shrunk; empty if none did.
    member _.OriginalCounterexample = original
    /// The smallest trial that still refutes it; empty if none did.
    member _.Counterexample = counterexample
    /// Both sides at the counterexample, or what is missing.
    member _.Finding = finding
    /// The largest modulus that was measured, where the law is about one; else NaN.
    member _.MeasuredModulus = measured
    /// The modulus that is claimed (of a family: the largest), where the law is about one; else NaN.
    member _.ClaimedModulus = claimed
    /// For each kind of case its share, in percent.
    member _.Labels = labels
    /// How long it took.
    member _.Milliseconds = milliseconds

    /// The report as a few lines.
    override _.ToString() =
        let lines =
            [
                $"{law} of {subject}: {statement}"
                match verdict with
                | Verdict.Holds -> $"  holds in {cases} cases (seed {seed}, {milliseconds} ms)"
                | Verdict.Refuted -> $"  REFUTED in case {cases} (seed {seed}, {milliseconds} ms): {finding}"
                | Verdict.GeneratorTooNarrow -> $"  NOT TESTED: {finding}"
                | _ -> $"  not applicable: {finding}"
                if not (Double.IsNaN measured) then
                    $"  modulus: measured {number measured}, claimed {number claimed}"
                if counterexample <> "" then
                    let indented = counterexample.Replace("\n", "\n    ")
                    $"  counterexample:\n    {indented}"
                if labels.Count > 0 then
                    let shares = labels |> Seq.map (fun entry -> $"{entry.Key} {number entry.Value}%%") |> String.concat ", "
                    $"  cases: {shares}"
            ]

        String.concat "\n" lines

    /// Throws a <c>LawRefutedException</c> with the text unless the law holds or does not apply.
    member this.Require() : unit =
        if verdict = Verdict.Refuted || verdict = Verdict.GeneratorTooNarrow then
            raise (LawRefutedException this)

    /// Reports as a table: law, subject, verdict, cases, measured, claimed, finding.
    static member ToDataFrame(reports: seq<Report>) : DataFrame =
        let all = Array.ofSeq reports
        let text name (pick: Report -> string) = StringDataFrameColumn(name, all |> Seq.map pick) :> DataFrameColumn
        let number name (pick: Report -> float) = DoubleDataFrameColumn(name, all |> Seq.map pick) :> DataFrameColumn

        DataFrame(
            text "law" _.Law,
            text "subject" _.Subject,
            text "verdict" (fun report -> string report.Verdict),
            number "cases" (fun report -> float report.Cases),
            number "measured" _.MeasuredModulus,
            number "claimed" _.ClaimedModulus,
            text "finding" _.Finding
        )

/// A law was refuted: the message is the report.
and LawRefutedException internal (report: Report) =
    inherit Exception(report.ToString())

    /// The report.
    member _.Report = report
