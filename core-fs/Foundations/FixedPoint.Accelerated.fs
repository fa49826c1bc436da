namespace ValueFlow.Core.Foundations

open System
open MathNet.Numerics.LinearAlgebra

/// Runners that reach a fixed point in fewer applications, or where plain iteration does not. The certificate is the same:
/// it rests on the last application alone.
[<RequireQualifiedAccess>]
module Accelerated =

    /// Anderson 1965, "Iterative procedures for nonlinear integral equations" (type II, in the form of Walker and Ni 2011):
    /// x(k+1) = T x(k) - sum over j of c(j) (T x(j+1) - T x(j)), with c the least-squares weights of the last residual on the
    /// differences of the last <c>memory</c> residuals. A step that shortens the residual by less than the claimed modulus (by nothing, without a
    /// claim) is taken back, to where plain iteration would have gone: so a contraction converges, at no less than half the pace of plain
    /// iteration. Zhang, O'Donoghue and Boyd 2020, "Globally convergent type-I Anderson acceleration", safeguard in the same way.
    let anderson (memory: int) (options: RunOptions) (operator: Operator<'x>) (start: 'x) : FixedPointResult<'x> =
        if memory < 1 then
            invalidArg (nameof memory) $"memory must be at least 1 but is {memory}"

        let space = operator.Space
        let struct (metric, _, _, _) = FixedPoint.certify operator

        let modulus =
            Operator.tryClaim metric.Key operator
            |> ValueOption.map (fun claim -> Math.Min(1.0, claim.Modulus))
            |> ValueOption.defaultValue 1.0

        // Differences of images and of residuals, newest last.
        let images = System.Collections.Generic.Queue<'x>()
        let gaps = System.Collections.Generic.Queue<'x>()
        let mutable lastImage = ValueNone
        let mutable lastGap = ValueNone
        let mutable lastLength = Double.PositiveInfinity
        let mutable extrapolated = false

        let free (point: 'x voption) = point |> ValueOption.iter space.Release

        let forget () =
            images |> Seq.iter space.Release
            gaps |> Seq.iter space.Release
            images.Clear()
            gaps.Clear()
            free lastImage
            free lastGap
            lastImage <- ValueNone
            lastGap <- ValueNone

        let remember image gap =
            match lastImage, lastGap with
            | ValueSome previousImage, ValueSome previousGap ->
                images.Enqueue(space.Combine 1.0 image -1.0 previousImage)
                gaps.Enqueue(space.Combine 1.0 gap -1.0 previousGap)

                if images.Count > memory then
                    space.Release(images.Dequeue())
                    space.Release(gaps.Dequeue())
            | _ -> ()

            free lastImage
            free lastGap
            lastImage <- ValueSome(space.Copy image)
            lastGap <- ValueSome gap

        let extrapolate image (gap: 'x) =
            let basis = gaps.ToArray()
            let gram = Matrix<float>.Build.Dense(basis.Length, basis.Length, fun i j -> space.Inner basis[i] basis[j])
            let right = Vector<float>.Build.Dense(basis.Length, fun i -> space.Inner basis[i] gap)
            let largest = gram.Diagonal().Maximum()

            if not (largest > 0.0) then
                space.Copy image
            else
                // A little regularisation: differences become parallel as the residual falls.
                for i in 0 .. basis.Length - 1 do
                    gram[i, i] <- gram[i, i] + 1e-12 * largest

                let weights = gram.Solve right

                if weights.Exists(Double.IsFinite >> not) then
                    space.Copy image
                else
                    Seq.fold2
                        (fun sum weight difference ->
                            let next = space.Combine 1.0 sum -weight difference
                            space.Release sum
                            next)
                        (space.Copy image)
                        weights
                        images

        let step =
            FixedPoint.Step(fun _ point image ->
                let length = metric.Distance point image

                if extrapolated && length > modulus * lastLength then
                    let plain = space.Copy lastImage.Value
                    forget ()
                    extrapolated <- false
                    plain
                else
                    let gap = space.Combine 1.0 image -1.0 point
                    lastLength <- length
                    remember image gap
                    let next = if images.Count = 0 then space.Copy image else extrapolate image gap
                    extrapolated <- images.Count > 0

                    match space.NotFinite next with
                    | ValueNone -> next
                    | ValueSome _ ->
                        space.Release next
                        forget ()
                        extrapolated <- false
                        space.Copy image)

        try
            // A step that is taken back costs an application.
            FixedPoint.run options operator start 2.0 step
        finally
            forget ()

    /// x(k+1) = a(k) x(0) + (1 - a(k)) T x(k), a(k) = 1 / (k + 2): converges for every non-expansion of a Hilbert space that has
    /// a fixed point. Halpern 1967, "Fixed points of nonexpanding maps". With modulus one the result is an estimate: stopping
    /// looks at the residual alone.
    let halpern (options: RunOptions) (operator: Operator<'x>) (start: 'x) : FixedPointResult<'x> =
        let step =
            FixedPoint.Step(fun iteration _ image ->
                let anchor = 1.0 / float (iteration + 1)
                operator.Space.Combine anchor start (1.0 - anchor) image)

        FixedPoint.run options operator start Double.PositiveInfinity step
