namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// What transitions have taught about a linear kernel P(s' | s, a) = phi(s, a) . theta(s'): the ridge regression theta = (l I + sum phi phi^T)^-1 sum phi e_(s')^T. One regression serves every
/// function of the successor: the regression of f(s') on phi has the weights theta f. Observations make new regressions; none is changed.
type TransitionRegression =
    internal
        {
            inverse: float[][]
            cross: float[][]
        }

    /// The number of features d.
    member this.Dimension = this.inverse.Length
    /// (l I + sum phi phi^T)^-1 (d, d).
    member this.Inverse: float[][] = this.inverse |> Array.map Array.copy

    /// theta (d, S).
    member this.Kernel: float[][] =
        this.inverse
        |> Array.map (fun row ->
            Array.init this.cross[0].Length (fun next ->
                let mutable sum = 0.0

                for j in 0 .. row.Length - 1 do
                    sum <- sum + row[j] * this.cross[j].[next]

                sum))

    /// |phi|_(Lambda^-1) = sqrt(phi^T (l I + sum phi phi^T)^-1 phi): how little is known in the direction phi.
    member this.Width(feature: ReadOnlySpan<float>) : float =
        Shape.requireLength (nameof feature) this.Dimension feature.Length
        let mutable sum = 0.0

        for i in 0 .. feature.Length - 1 do
            for j in 0 .. feature.Length - 1 do
                sum <- sum + feature[i] * this.inverse[i].[j] * feature[j]

        Math.Sqrt(Math.Max(0.0, sum))

/// Makes regressions, and learns.
[<RequireQualifiedAccess>]
module TransitionRegression =

    /// Nothing seen yet, with a ridge l &gt; 0, for d features and S states.
    let create (ridge: float) (dimension: int) (states: int) : TransitionRegression =
        Argument.positive (nameof ridge) ridge

        if dimension < 1 then
            invalidArg (nameof dimension) $"dimension must be at least 1 but is {dimension}"

        if states < 1 then
            invalidArg (nameof states) $"states must be at least 1 but are {states}"

        {
            inverse = Array.init dimension (fun i -> Array.init dimension (fun j -> if i = j then 1.0 / ridge else 0.0))
            cross = Array.init dimension (fun _ -> Array.zeroCreate states)
        }

    /// A transition with features phi whose successor has a law (S): a unit vector for one that was seen, the law itself for what infinitely many would teach. The inverse is updated by a matrix
    /// of rank one. Sherman and Morrison 1950, "Adjustment of an inverse matrix corresponding to a change in one element of a given matrix".
    let observeLaw
        (feature: ReadOnlySpan<float>)
        (successor: ReadOnlySpan<float>)
        (regression: TransitionRegression)
        : TransitionRegression =
        let d = regression.Dimension
        Shape.requireLength (nameof feature) d feature.Length
        Shape.requireLength (nameof successor) regression.cross[0].Length successor.Length
        let phi, law = feature.ToArray(), successor.ToArray()
        let image = regression.inverse |> Array.map (fun row -> Array.fold2 (fun sum a b -> sum + a * b) 0.0 row phi)
        let scale = 1.0 + Array.fold2 (fun sum a b -> sum + a * b) 0.0 image phi

        {
            inverse =
                regression.inverse
                |> Array.mapi (fun i row -> row |> Array.mapi (fun j entry -> entry - image[i] * image[j] / scale))
            cross =
                regression.cross
                |> Array.mapi (fun i row -> if phi[i] = 0.0 then row else Array.map2 (fun entry mass -> entry + phi[i] * mass) row law)
        }

    /// A transition that was seen.
    let observe (feature: ReadOnlySpan<float>) (successor: int) (regression: TransitionRegression) : TransitionRegression =
        let states = regression.cross[0].Length

        if successor < 0 || successor >= states then
            invalidArg (nameof successor) $"successor must be a state in [0, {states}) but is {successor}"

        observeLaw feature (ReadOnlySpan(Array.init states (fun s -> if s = successor then 1.0 else 0.0))) regression
