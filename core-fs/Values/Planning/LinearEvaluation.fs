namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
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

    // Stops where nothing more is gained, or nobody waits any longer.
    let private stalled (cancellation: CancellationToken) =
        let best, since = ref Double.PositiveInfinity, ref 0

        DelegateStopCriterion<float>(fun iteration _ _ residual ->
            let size = residual.InfinityNorm()

            if size < 0.5 * best.Value then
                best.Value <- size
                since.Value <- iteration

            if iteration - since.Value > Patience || cancellation.IsCancellationRequested then
                IterationStatus.StoppedWithoutConvergence
            else
                IterationStatus.Continue)

    // BiCGStab, started anew from its own answer (with the residual computed anew) for as long as that halves the residual. van der Vorst 1992.
    let private krylov (matrix: SparseMatrix) (right: float[]) (guess: float[]) (cancellation: CancellationToken) =
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
                    stalled cancellation
                )

            try
                BiCgStab().Solve(matrix, target, answer, monitor, preconditioner)
            with :? NumericalBreakdownException ->
                // The residual is gone, as a rule; the answer so far stands.
                ()

            let reached = residual answer

            if reached < 0.5 * bestResidual && not cancellation.IsCancellationRequested then
                improve answer reached
            elif reached < bestResidual then
                answer
            else
                best

        let start = DenseVector.OfArray guess
        (improve start (residual start)).ToArray()

    let private solveEntries count (entries: ResizeArray<struct (int * int * float)>) (right: float[]) (guess: float[]) cancellation =
        let found =
            if count <= DenseLimit then
                let matrix = DenseMatrix.Create(count, count, 0.0)

                for struct (i, j, x) in entries do
                    matrix[i, j] <- x

                matrix.LU().Solve(DenseVector.OfArray right).ToArray()
            else
                krylov (SparseMatrix.OfIndexed(count, count, entries)) right guess cancellation

        if Array.forall Double.IsFinite found then found else guess

    // The entries of I - P, each place once.
    let private entries
        count
        (write: int -> (int -> float -> unit) -> unit)
        (cancellation: CancellationToken)
        : ResizeArray<struct (int * int * float)> =
        let found = ResizeArray<struct (int * int * float)>(4 * count)
        let sums = Dictionary<int, float>()

        let add column weight =
            let known, sum = sums.TryGetValue column
            sums[column] <- (if known then sum else 0.0) - weight

        for i in 0 .. count - 1 do
            cancellation.ThrowIfCancellationRequested()
            sums.Clear()
            add i -1.0
            write i add

            for entry in sums do
                found.Add(struct (i, entry.Key, entry.Value))

        found

    /// (I - P)^-1 r, for the rows of P that <c>write</c> adds up: it calls back with column and weight. The Krylov method starts from the guess; where the
    /// solve fails, or is cancelled, the guess is the answer.
    let solveRows
        (count: int)
        (write: int -> (int -> float -> unit) -> unit)
        (right: float[])
        (guess: float[])
        (cancellation: CancellationToken)
        =
        Interruptible.run 0 cancellation (fun () -> solveEntries count (entries count write cancellation) right guess cancellation)
        |> ValueOption.defaultValue guess

    /// (I - gamma P_pi)^-1 r_pi for a policy that is given by the probability of each row; the guess, if it is cancelled.
    let solve (kernel: Kernel) (policy: float[]) (guess: float[]) (cancellation: CancellationToken) : float[] =
        let model = kernel.Model
        let right = Array.zeroCreate<float> model.stateCount

        let write s (add: int -> float -> unit) =
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if policy[row] > 0.0 then
                    right[s] <- right[s] + policy[row] * kernel.RowRewards[row]

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        add model.successors[k] (policy[row] * kernel.Weights[k])

        solveRows model.stateCount write right guess cancellation
