namespace ValueFlow.Core.Values

open System
open System.Numerics.Tensors
open ValueFlow.Core.Foundations

/// V <- T V, certified by the bounds of MacQueen and Porteus. Where every state passes the whole of a constant on (no terminal
/// states, no missing mass), the midpoint of the bounds is added at every sweep: the span of the residual decides, not its size.
/// Bellman 1957; Puterman 1994, "Markov decision processes", section 6.6.
[<RequireQualifiedAccess>]
module ValueIteration =

    // Whether every state passes the whole of a constant on.
    let internal shifts (bellman: Bellman) =
        let struct (least, largest) = bellman.Factors
        not bellman.Kernel.HasTerminals && largest - least <= 1e-12 * largest

    // The next values: the image, with the midpoint of the bounds added where that does good.
    let internal advanceOf (bellman: Bellman) : Planning.Advance =
        let shift = shifts bellman

        Planning.Advance(fun values image bracket ->
            let middle =
                if shift && bracket.Certificate = Certificate.SpanBounds then
                    0.5 * (bracket.Below + bracket.Above)
                else
                    0.0

            TensorPrimitives.Add(ReadOnlySpan image, middle, Span values)
            true)

    let internal solveKept checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)

        Planning.run
            (Planning.plain "value iteration")
            checkpoint
            options
            bellman
            apply
            (Bracket.ofApplication bellman)
            given
            (advanceOf bellman)

    /// Starts from the caller's values, which it leaves as they are.
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution = solveKept ValueNone given options bellman

    /// Starts from zero.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman

/// The order in which a Gauss-Seidel sweep visits the states: good where values flow against it.
[<RequireQualifiedAccess>]
type SweepOrder =
    /// From the first state to the last.
    | Forward
    /// From the last state to the first.
    | Backward
    /// Forward and backward in turn.
    | Alternating

/// Sweeps in which later states see the new values of earlier ones. Certified by the same bounds, with the constant that a sweep passes
/// on known only to lie between nothing and the largest discount. Puterman 1994, "Markov decision processes", section 6.3.3.
[<RequireQualifiedAccess>]
module GaussSeidel =

    let internal solveKept checkpoint (order: SweepOrder) (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        if not bellman.State.Local then
            invalidArg
                (nameof bellman)
                $"Gauss-Seidel needs a summary that looks at a row's successors alone, but '{bellman.State.Name}' looks at all states"

        let model = bellman.Kernel.Model
        // Whether the next sweep goes backward.
        let turns = [| (if order = SweepOrder.Backward then 1 else 0) |]

        let apply (source: float[]) (destination: float[]) =
            System.Array.Copy(source, destination, source.Length)
            let mutable done' = 0

            while done' < model.stateCount && not options.Cancellation.IsCancellationRequested do
                let next = System.Math.Min(model.stateCount, done' + Sweep.BlockSize)

                if turns[0] = 0 then
                    bellman.Sweep.Block(destination, destination, [||], done', next)
                else
                    for state in model.stateCount - 1 - done' .. -1 .. model.stateCount - next do
                        bellman.Sweep.Block(destination, destination, [||], state, state + 1)

                done' <- next

            done' >= model.stateCount

        let advance =
            Planning.Advance(fun values image _ ->
                System.Array.Copy(image, values, image.Length)

                if order = SweepOrder.Alternating then
                    turns[0] <- 1 - turns[0]

                true)

        let name =
            match order with
            | SweepOrder.Forward -> "Gauss-Seidel"
            | SweepOrder.Backward -> "Gauss-Seidel backward"
            | SweepOrder.Alternating -> "Gauss-Seidel forward and backward"

        let scheme = { Planning.plain name with Integers = [| turns |] }
        Planning.run scheme checkpoint options bellman apply (Bracket.ofGaussSeidel bellman) given advance

    /// Visits the states in an order. Starts from zero. The state summary looks at a row's successors alone (ArgumentException if not).
    let solveInOrder (order: SweepOrder) (options: RunOptions) (bellman: Bellman) : Solution =
        solveKept ValueNone order ValueNone options bellman

    /// Starts from the caller's values, which it leaves as they are. The state summary looks at a row's successors alone (ArgumentException if not).
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        solveKept ValueNone SweepOrder.Forward given options bellman

    /// Starts from zero.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman
