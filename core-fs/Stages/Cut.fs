namespace ValueFlow.Core.Stages

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Flows

/// An affine function of a state, alpha + beta . y. As a cut it is meant to lie below the expected cost of the stages to come.
type Cut =
    {
        /// alpha.
        Intercept: float
        /// beta: one number for each entry of the state.
        Slopes: float[]
    }

    /// alpha + beta . y.
    member this.At(state: float[]) : float =
        Shape.requireLength (nameof state) this.Slopes.Length state.Length
        Array.fold2 (fun sum b y -> sum + b * y) this.Intercept this.Slopes state

/// Sets of cuts.
[<RequireQualifiedAccess>]
module Cut =

    /// The cut through a value at a state with slopes.
    let through (state: float[]) (value: float) (slopes: float[]) : Cut =
        Shape.requireLength (nameof slopes) state.Length slopes.Length

        {
            Intercept = value - Array.fold2 (fun sum b y -> sum + b * y) 0.0 slopes state
            Slopes = Array.copy slopes
        }

    /// max(floor, max over cuts of alpha + beta . y): what a set of cuts says of a state.
    let value (floor: float) (cuts: Cut[]) (state: float[]) : float =
        cuts |> Array.fold (fun best cut -> Math.Max(best, cut.At state)) floor

    /// The cut that is largest at a state, the first among equals.
    let active (cuts: Cut[]) (state: float[]) : Cut =
        if cuts.Length = 0 then
            invalidArg (nameof cuts) "there must be at least one cut but there is none"

        cuts |> Array.maxBy (fun cut -> cut.At state)

    /// The distance between two sets of equally many cuts: the mean over pairs of |(alpha, beta) - (alpha', beta')|, paired one to one so that it is least
    /// (an assignment). It does not depend on the order, and is a metric: W_1 of two samples. The sum of squares, without a root, would violate the triangle inequality.
    let distance (a: Cut[]) (b: Cut[]) : float =
        if a.Length = 0 || a.Length <> b.Length then
            invalidArg (nameof b) $"sets must have equally many cuts, at least one, but have {a.Length} and {b.Length}"

        let apart (x: Cut) (y: Cut) =
            Shape.requireLength (nameof b) x.Slopes.Length y.Slopes.Length
            let gap = x.Intercept - y.Intercept
            sqrt (Array.fold2 (fun sum p q -> sum + (p - q) * (p - q)) (gap * gap) x.Slopes y.Slopes)

        (Assignment.solve (Array2D.init a.Length b.Length (fun i j -> apart a[i] b[j]))).Cost / float a.Length
