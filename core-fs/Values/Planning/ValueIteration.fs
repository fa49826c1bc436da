namespace ValueFlow.Core.Values

open System
open System.Numerics.Tensors
open ValueFlow.Core.Foundations

/// V <- T V, certified by the bounds of MacQueen and Porteus. Where every state passes the whole of a constant on (no terminal
/// states, no missing mass), the midpoint of the bounds is added at every sweep: the span of the residual decides, not its size.
/// Bellman 1957; Puterman 1994, "Markov decision processes", section 6.6.
[<RequireQualifiedAccess>]
module ValueIteration =

    let private shifts (bellman: Bellman) =
        let struct (least, largest) = bellman.Factors
        not bellman.Kernel.HasTerminals && largest - least <= 1e-12 * largest

    let internal solveNamed name checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        let shift = shifts bellman

        let advance =
            Planning.Advance(fun values image bracket ->
                let middle =
                    if shift && bracket.Certificate = Certificate.SpanBounds then
                        0.5 * (bracket.Below + bracket.Above)
                    else
                        0.0

                TensorPrimitives.Add(ReadOnlySpan image, middle, Span values)
                true)

        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        Planning.run name checkpoint Planning.nothing options bellman apply (Bracket.ofApplication bellman) given advance

    let internal solveKept checkpoint given options bellman = solveNamed "value iteration" checkpoint given options bellman

    /// Starts from the caller's values, which it leaves as they are.
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution = solveKept ValueNone given options bellman

    /// Starts from zero.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman

/// Sweeps in which later states see the new values of earlier ones. Certified by the same bounds, with the constant that a sweep passes
/// on known only to lie between nothing and the largest discount. Puterman 1994, "Markov decision processes", section 6.3.3.
[<RequireQualifiedAccess>]
module GaussSeidel =

    let internal solveKept checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        if not bellman.State.Local then
            invalidArg
                (nameof bellman)
                $"Gauss-Seidel needs a summary that looks at a row's successors alone, but '{bellman.State.Name}' looks at all states"

        let model = bellman.Kernel.Model

        let apply (source: float[]) (destination: float[]) =
            System.Array.Copy(source, destination, source.Length)
            let mutable first = 0

            while first < model.stateCount && not options.Cancellation.IsCancellationRequested do
                let last = System.Math.Min(model.stateCount, first + Sweep.BlockSize)
                bellman.Sweep.Block(destination, destination, [||], first, last)
                first <- last

            first >= model.stateCount

        let advance =
            Planning.Advance(fun values image _ ->
                System.Array.Copy(image, values, image.Length)
                true)

        Planning.run "Gauss-Seidel" checkpoint Planning.nothing options bellman apply (Bracket.ofGaussSeidel bellman) given advance

    /// Starts from the caller's values, which it leaves as they are. The state summary looks at a row's successors alone (ArgumentException if not).
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution = solveKept ValueNone given options bellman

    /// Starts from zero.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman
