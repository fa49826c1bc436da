namespace ValueFlow.Core.Flows

open ValueFlow.Core.Dynamics

/// What a score is taken from.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type ScoreModel =
    /// grad log p_t(x) itself.
    | Score of Field
    /// The denoiser E[e | x_t = x] of an interpolant: s = -eta / (standard deviation of the noise in x_t). Singular at the ends.
    | Denoiser of Interpolant * Field
    /// The velocity of an interpolant with one Gaussian end, which determines the score between the ends. It is evaluated a second time.
    | OfVelocity of Interpolant

/// Scores from what is known.
[<RequireQualifiedAccess>]
module ScoreModel =

    /// The score as a field. Conversions throw an ArgumentException at the times 0 and 1, and where the interpolant's algebra refuses them.
    let field (velocity: Field) (model: ScoreModel) : Field =
        match model with
        | ScoreModel.Score score -> score
        | ScoreModel.Denoiser(interpolant, denoiser) -> Conversion.field interpolant [ Target.Denoiser, denoiser ] Target.Score
        | ScoreModel.OfVelocity interpolant -> Conversion.field interpolant [ Target.Velocity, velocity ] Target.Score
