namespace ValueFlow.Studies

/// Findings, by where their expectation comes from.
module internal Findings =

    let private finding text expected relation tolerance source measured : Finding =
        {
            Claim =
                {
                    Text = text
                    Expected = expected
                    Relation = relation
                    Tolerance = tolerance
                    Source = source
                    ExpectReproduced = true
                }
            Measured = measured
        }

    /// A claim that mathematics makes: nothing of it was fitted to what is measured.
    let exact (text: string) (expected: float) (relation: Relation) (tolerance: float) (source: string) (measured: float) : Finding =
        finding text expected relation tolerance source measured

    /// A claim about a training, whose number was chosen once on fixed seeds, with a margin.
    let calibrated (text: string) (expected: float) (relation: Relation) (measured: float) : Finding =
        finding text expected relation 0.0 "calibrated 2026-11-25, then frozen" measured

    /// The same, chosen on another day.
    let calibratedOn (day: string) (text: string) (expected: float) (relation: Relation) (measured: float) : Finding =
        finding text expected relation 0.0 $"calibrated {day}, then frozen" measured

    /// A target that was stated before anything was measured.
    let target (text: string) (expected: float) (relation: Relation) (source: string) (measured: float) : Finding =
        finding text expected relation 0.0 $"target: {source}" measured
