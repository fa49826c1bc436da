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

/// A named curve, with an optional band.
type Series =
    {
        /// The name in the legend.
        Name: string
        /// Where it is measured.
        X: float[]
        /// What is measured.
        Y: float[]
        /// The band's lower edge; empty for none.
        Low: float[]
        /// The band's upper edge; empty for none.
        High: float[]
    }

/// A picture as data: the gallery draws all of them alike.
[<AbstractClass>]
type Figure(title: string) =
    /// What it shows.
    member _.Title = title

/// Curves over an axis.
[<Sealed>]
type LineFigure(title: string, xLabel: string, yLabel: string, series: Series[], logarithmic: bool) =
    inherit Figure(title)
    /// The horizontal axis, with its unit.
    member _.XLabel = xLabel
    /// The vertical axis, with its unit.
    member _.YLabel = yLabel
    /// The curves.
    member _.Series = series
    /// True for a logarithmic vertical axis.
    member _.Logarithmic = logarithmic

/// Values on a grid, with arrows and marks.
[<Sealed>]
type MapFigure(title: string, unit': string, rows: int, columns: int, values: float[], arrows: struct (int * int)[], marks: char[]) =
    inherit Figure(title)
    /// What the colours measure, with its unit.
    member _.Unit = unit'
    /// Rows, the first at the top.
    member _.Rows = rows
    /// Columns.
    member _.Columns = columns
    /// For each cell its value; not a number for a cell without one.
    member _.Values = values
    /// For each cell an arrow (right, down), or (0, 0) for none.
    member _.Arrows = arrows
    /// For each cell its mark.
    member _.Marks = marks

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
