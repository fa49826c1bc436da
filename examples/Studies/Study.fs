namespace ValueFlow.Studies

open System
open System.Threading
open Microsoft.Data.Analysis

/// How a measured value is held against the expected one.
type Relation =
    /// Equal within the tolerance.
    | Equals = 0
    /// At least the expected value, less the tolerance.
    | AtLeast = 1
    /// At most the expected value, plus the tolerance.
    | AtMost = 2

/// What a study says about the world, before it looks.
type Claim =
    {
        /// The claim in words.
        Text: string
        /// The value that is expected.
        Expected: float
        /// How measured and expected value are compared.
        Relation: Relation
        /// By how much they may differ.
        Tolerance: float
        /// Where the expectation comes from: a closed form, a paper, or "calibrated" with the date.
        Source: string
        /// Whether the claim is expected to be reproduced. A claim that is known to fail says so, and stays.
        ExpectReproduced: bool
    }

/// A claim and what was measured.
type Finding =
    {
        /// The claim.
        Claim: Claim
        /// The measured value.
        Measured: float
    }

    /// True if the measured value bears the claim out.
    member this.Reproduced =
        let gap = this.Measured - this.Claim.Expected

        match this.Claim.Relation with
        | Relation.Equals -> abs gap <= this.Claim.Tolerance
        | Relation.AtLeast -> gap >= -this.Claim.Tolerance
        | _ -> gap <= this.Claim.Tolerance

    /// True if the verdict is the one that the claim expects.
    member this.AsExpected = this.Reproduced = this.Claim.ExpectReproduced

/// What a study brings back.
type StudyResult =
    {
        /// The claims and what was measured.
        Findings: Finding[]
        /// Tables, by title.
        Tables: struct (string * DataFrame)[]
        /// Pictures.
        Figures: Figure[]
        /// What the reader should take along.
        Notes: string[]
    }

/// A runnable reproduction.
[<AbstractClass>]
type Study(name: string, family: string, title: string, summary: string) =
    /// The name on the command line.
    member _.Name = name
    /// The family of operators.
    member _.Family = family
    /// The title.
    member _.Title = title
    /// What it is about, in a sentence.
    member _.Summary = summary
    /// Runs the study. <c>quick</c> asks for less where that is possible; the seed decides all that is random.
    abstract Run: seed: int * quick: bool * progress: Action<string> * cancellation: CancellationToken -> StudyResult
