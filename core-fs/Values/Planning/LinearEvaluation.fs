namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open MathNet.Numerics
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open MathNet.Numerics.LinearAlgebra.Double.Solvers
open MathNet.Numerics.LinearAlgebra.Solvers

/// Linear systems of policies: (I - P) x = r for sub-stochastic P. An answer is only as good as its residual: whoever uses one checks that.
[<RequireQualifiedAccess>]
module internal LinearEvaluation =

    /// The most unknowns for which a dense factorisation is made; larger systems are solved by a Krylov method.
    [<Literal>]
    let DenseLimit = 600

    // The steps within which the residual must halve: beyond them a Krylov method only stirs the rounding.
    [<Literal>]
    let private Patience = 100

    // Stops where nothing more is gained.
    let private stalled () =
        let best, since = ref Double.PositiveInfinity, ref 0

        DelegateStopCriterion<float>(fun iteration _ _ residual ->
            let size = residual.InfinityNorm()

            if size < 0.5 * best.Value then
                best.Value <- size
                since.Value <- iteration

            if iteration - since.Value > Patience then
                IterationStatus.StoppedWithoutConvergence
            else
                IterationStatus.Continue)

    // BiCGStab, started anew from its own answer (with the residual computed anew) for as long as that halves the residual. van der Vorst 1992.
    let private krylov (matrix: SparseMatrix) (right: float[]) (guess: float[]) =
        let target = DenseVector.OfArray right
        let preconditioner = MILU0Preconditioner false
        let residual (x: DenseVector) = (target - matrix * x).InfinityNorm()

        let rec improve (best: DenseVector) bestResidual =
            let answer = DenseVector.OfVector best

            let monitor =
                Iterator<float>(
                    IterationCountStopCriterion<float> 10000,
                    ResidualStopCriterion<float> 1e-15,
                    FailureStopCriterion<float>(),
                    stalled ()
                )

            try
                BiCgStab().Solve(matrix, target, answer, monitor, preconditioner)
            with :? NumericalBreakdownException ->
                // The residual is gone, as a rule; the answer so far stands.
                ()

            let reached = residual answer

            if reached < 0.5 * bestResidual then improve answer reached
            elif reached < bestResidual then answer
            else best

        let start = DenseVector.OfArray guess
        (improve start (residual start)).ToArray()

    /// Solves a system that is given by its entries, each place once. The Krylov method starts from the guess, and keeps it where it fails.
    let solveEntries (count: int) (entries: ResizeArray<struct (int * int * float)>) (right: float[]) (guess: float[]) : float[] =
        let found =
            if count <= DenseLimit then
                let matrix = DenseMatrix.Create(count, count, 0.0)

                for struct (i, j, x) in entries do
                    matrix[i, j] <- x

                matrix.LU().Solve(DenseVector.OfArray right).ToArray()
            else
                krylov (SparseMatrix.OfIndexed(count, count, entries)) right guess

        if Array.forall Double.IsFinite found then found else guess

    /// The entries of I - P, each place once, for the rows of P that <c>write</c> adds up: it calls back with column and weight.
    let entries (count: int) (write: int -> (int -> float -> unit) -> unit) : ResizeArray<struct (int * int * float)> =
        let found = ResizeArray<struct (int * int * float)>(4 * count)
        let sums = Dictionary<int, float>()

        let add column weight =
            let known, sum = sums.TryGetValue column
            sums[column] <- (if known then sum else 0.0) - weight

        for i in 0 .. count - 1 do
            sums.Clear()
            add i -1.0
            write i add

            for entry in sums do
                found.Add(struct (i, entry.Key, entry.Value))

        found

    /// (I - gamma P_pi)^-1 r_pi for a policy that is given by the probability of each row.
    let solve (kernel: Kernel) (policy: float[]) (guess: float[]) : float[] =
        let model = kernel.Model
        let right = Array.zeroCreate<float> model.stateCount

        let write s (add: int -> float -> unit) =
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if policy[row] > 0.0 then
                    right[s] <- right[s] + policy[row] * kernel.RowRewards[row]

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        add model.successors[k] (policy[row] * kernel.Weights[k])

        let matrix = entries model.stateCount write
        solveEntries model.stateCount matrix right guess
