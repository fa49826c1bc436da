namespace ValueFlow.Core.Values

open System
open System.Numerics.Tensors
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations

/// Planning that looks back: the next values are made of several images. The certificate is that of the last application alone, so that no step can spoil it.
[<RequireQualifiedAccess>]
module AcceleratedPlanning =

    let private copy (source: float[]) (destination: float[]) = Array.blit source 0 destination 0 source.Length

    // destination = a - b
    let private subtract (a: float[]) (b: float[]) (destination: float[]) =
        TensorPrimitives.Subtract(ReadOnlySpan a, ReadOnlySpan b, Span destination)

    let private inner (a: float[]) (b: float[]) = TensorPrimitives.Dot(ReadOnlySpan a, ReadOnlySpan b)

    // The least-squares weights of the gap on the differences of gaps, a little regularised: differences become parallel as the residual falls. Nothing if there are none.
    let private weightsOf (gaps: float[][]) (gap: float[]) : float[] voption =
        let count = gaps.Length
        let gram = Matrix<float>.Build.Dense(count, count, fun i j -> inner gaps[i] gaps[j])
        let largest = if count = 0 then 0.0 else gram.Diagonal().Maximum()

        if not (largest > 0.0 && Double.IsFinite largest) then
            ValueNone
        else
            for i in 0 .. count - 1 do
                gram[i, i] <- gram[i, i] + 1e-12 * largest

            let weights = gram.Solve(Vector<float>.Build.Dense(count, fun i -> inner gaps[i] gap)).ToArray()
            if Array.forall Double.IsFinite weights then ValueSome weights else ValueNone

    let private requireMemory memory =
        if memory < 1 then
            invalidArg (nameof memory) $"memory must be at least 1 but is {memory}"

    let internal andersonKept checkpoint (memory: int) (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        requireMemory memory
        let states = bellman.Kernel.Model.StateCount
        let struct (_, factor) = bellman.Factors
        let modulus = if bellman.Operator.Claims.IsEmpty then 1.0 else Math.Min(1.0, factor)
        let store () = Array.init memory (fun _ -> Array.zeroCreate<float> states)
        // Differences of images and of gaps, the last image and gap, and the gap's length.
        let images, gaps = store (), store ()
        let lastImage, lastGap, lastLength = Array.zeroCreate states, Array.zeroCreate states, [| Double.PositiveInfinity |]
        // How many differences there are, which is the next to be replaced, whether there is a last image, and whether the last step was a leap.
        let counts = [| 0; 0; 0; 0 |]

        let forget () =
            counts[0] <- 0
            counts[1] <- 0
            counts[2] <- 0
            counts[3] <- 0

        let remember (image: float[]) (gap: float[]) =
            if counts[2] = 1 then
                let place = counts[1]
                subtract image lastImage images[place]
                subtract gap lastGap gaps[place]
                counts[0] <- Math.Min(memory, counts[0] + 1)
                counts[1] <- (place + 1) % memory

            copy image lastImage
            copy gap lastGap
            counts[2] <- 1

        let gap = Array.zeroCreate<float> states

        let advance =
            Planning.Advance(fun values image bracket ->
                let length = bracket.Residual

                if counts[3] = 1 && length > modulus * lastLength[0] then
                    // The leap is taken back, to where plain iteration would have gone.
                    copy lastImage values
                    forget ()
                else
                    subtract image values gap
                    lastLength[0] <- length
                    remember image gap

                    match weightsOf gaps[.. counts[0] - 1] gap with
                    | ValueSome weights ->
                        copy image values

                        for j in 0 .. weights.Length - 1 do
                            // values <- values - c(j) * difference of images
                            TensorPrimitives.MultiplyAdd(ReadOnlySpan images[j], -weights[j], ReadOnlySpan values, Span values)

                        counts[3] <- 1

                        if not (Array.forall Double.IsFinite values) then
                            copy image values
                            forget ()
                    | ValueNone ->
                        copy image values
                        counts[3] <- 0

                true)

        let scheme: Planning.Scheme =
            {
                Name = $"Anderson acceleration ({memory})"
                // A leap that is taken back costs an application.
                Pace = 2.0
                Integers = [| counts |]
                Numbers = [| yield! images; yield! gaps; lastImage; lastGap; lastLength |]
            }

        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        Planning.run scheme checkpoint options bellman apply (Bracket.ofApplication bellman) given advance

    /// Anderson 1965, "Iterative procedures for nonlinear integral equations" (type II), on the last <c>memory</c> differences, with the safeguard of Zhang, O'Donoghue and Boyd 2020 (see
    /// <c>Accelerated.anderson</c>): a leap that shortens the residual by less than the discount does is taken back, so that it takes at most about twice the sweeps of value
    /// iteration. Starts from zero.
    let anderson (memory: int) (options: RunOptions) (bellman: Bellman) : Solution = andersonKept ValueNone memory ValueNone options bellman

    let internal anchoredKept checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        let states = bellman.Kernel.Model.StateCount
        let anchor = Planning.start bellman given
        let struct (_, factor) = bellman.Factors
        // The share of the anchor is g^2k / (1 + g^2 + ... + g^2k): the same number, of which nothing grows.
        let sums = [| 1.0 |]
        let powers = [| 1.0 |]

        let advance =
            Planning.Advance(fun values image _ ->
                powers[0] <- powers[0] * factor * factor
                sums[0] <- 1.0 + factor * factor * sums[0]
                let share = powers[0] / sums[0]

                for s in 0 .. states - 1 do
                    values[s] <- share * anchor[s] + (1.0 - share) * image[s]

                true)

        let scheme: Planning.Scheme =
            {
                Name = "anchored value iteration"
                Pace = 2.0
                Integers = [||]
                Numbers = [| anchor; sums; powers |]
            }

        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        Planning.run scheme checkpoint options bellman apply (Bracket.ofApplication bellman) given advance

    /// V(k) = b(k) V(0) + (1 - b(k)) T V(k-1) with b(k) = 1 / (1 + g^-2 + ... + g^-2k): drawn back to the start, by less and less. Lee and Ryu 2023, "Accelerating value iteration with
    /// anchoring": the residual falls at a better rate than that of value iteration while k is below the horizon 1/(1-g). Starts from zero.
    let anchored (options: RunOptions) (bellman: Bellman) : Solution = anchoredKept ValueNone ValueNone options bellman
