namespace ValueFlow.Laws

open System
open System.Collections.Generic
open System.Diagnostics
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// How a law is tried: random trials, a watch, and the way to the smallest counterexample.
[<RequireQualifiedAccess>]
module internal Trials =

    /// A judgement without a quotient.
    let plain holds finding = { Holds = holds; Finding = finding; Measured = nan; Claimed = nan }

    let private scene (subject: Subject<'x>) (trial: Trial) (work: Scene<'x> -> 'result) : 'result =
        let struct (operator, owner) = subject.Make trial
        use _owner = owner
        let x, y = subject.Lift trial.X, subject.Lift trial.Y

        try
            work { Trial = trial; Operator = operator; X = x; Y = y; Subject = subject }
        finally
            operator.Space.Release x
            operator.Space.Release y

    // Trials by seed: FsCheck draws the seed and shrinks the trial.
    let private arbitrary (subject: Subject<'x>) : Arbitrary<Trial> =
        let generator = Gen.choose (0, Int32.MaxValue - 1) |> Gen.map (fun seed -> Trial.generate subject (Generator seed))
        Arb.fromGenShrink (generator, Trial.shrink)

    /// Tries a law on a subject.
    let run (options: LawOptions) (law: Law<'x>) (subject: Subject<'x>) : Report =
        if options.Cases < 1 then
            invalidArg (nameof options) $"Cases must be at least 1 but are {options.Cases}"

        if not (options.MaximumSeconds > 0.0) then
            invalidArg (nameof options) $"MaximumSeconds must be positive but is {options.MaximumSeconds}"

        let watch = Stopwatch.StartNew()
        let counts = Dictionary<string, float>()
        let mutable cases = 0
        let mutable shrinking = false
        let mutable measured, claimed = nan, nan
        let mutable missing = ValueNone
        let mutable lastFinding = ""
        let mutable original, smallest = "", ""

        let judge (trial: Trial) =
            scene subject trial (fun scene ->
                match law.missing scene.Operator with
                | ValueSome _ as words ->
                    missing <- words
                    true
                | ValueNone ->
                    let judgement =
                        try
                            law.judge scene
                        with error ->
                            plain false $"it threw {error.GetType().Name}: {error.Message}"

                    if not shrinking then
                        cases <- cases + 1

                        for label in
                            (match trial.Sketch with
                             | ValueSome sketch -> ModelSketch.labels sketch
                             | ValueNone -> []) do
                            counts[label] <-
                                1.0
                                + (match counts.TryGetValue label with
                                   | true, n -> n
                                   | _ -> 0.0)

                        if judgement.Measured > measured || Double.IsNaN measured then
                            measured <- judgement.Measured

                        if judgement.Claimed > claimed || Double.IsNaN claimed then
                            claimed <- judgement.Claimed

                    if not judgement.Holds then
                        // Every later failure is a smaller one.
                        if original = "" then
                            original <- trial.ToString()

                        smallest <- trial.ToString()
                        lastFinding <- judgement.Finding
                        shrinking <- true

                        if not (Double.IsNaN judgement.Measured) then
                            measured <- judgement.Measured
                            claimed <- judgement.Claimed

                    judgement.Holds)

        let property =
            Prop.forAll (arbitrary subject) (fun trial ->
                (not shrinking && watch.Elapsed.TotalSeconds > options.MaximumSeconds) || missing.IsSome || judge trial)

        let silent =
            { new IRunner with
                member _.OnStartFixture _ = ()
                member _.OnArguments(_, _, _) = ()
                member _.OnShrink(_, _) = ()
                member _.OnFinished(_, _) = ()
            }

        let config = Config.Quick.WithMaxTest(options.Cases).WithReplay(uint64 options.Seed, 1UL).WithRunner(silent)

        Check.One(config, property)

        let shares =
            counts
            |> Seq.map (fun entry -> entry.Key, 100.0 * entry.Value / float (max 1 cases))
            |> Seq.sortBy fst
            |> dict
            |> Dictionary

        let narrow =
            if subject.Dimension.IsSome || cases < 100 then
                []
            else
                ModelSketch.minimums
                |> List.filter (fun (label, least) ->
                    (match shares.TryGetValue label with
                     | true, share -> share
                     | _ -> 0.0)
                        <
                        least)

        let verdict, finding =
            if missing.IsSome then
                Verdict.NotApplicable, missing.Value
            elif shrinking then
                Verdict.Refuted, lastFinding
            elif cases = 0 then
                Verdict.GeneratorTooNarrow, "no trial was made in the time that was given"
            elif not narrow.IsEmpty then
                let list =
                    narrow
                    |> List.map (fun (label, least) -> $"'{label}' in at least {least}%% of the cases")
                    |> String.concat ", "

                Verdict.GeneratorTooNarrow, $"expected {list}"
            else
                Verdict.Holds, ""

        Report(
            law.name,
            law.statement,
            subject.Name,
            verdict,
            options.Seed,
            cases,
            original,
            smallest,
            finding,
            measured,
            claimed,
            shares,
            watch.ElapsedMilliseconds
        )
