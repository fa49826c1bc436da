namespace ValueFlow.Core.Values

open System
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open MathNet.Numerics.LinearAlgebra.Double.Solvers
open MathNet.Numerics.LinearAlgebra.Solvers
open ValueFlow.Core.Foundations

/// The linear system (I - gamma P_pi) V = r_pi of a policy under the expectation.
[<RequireQualifiedAccess>]
module internal LinearEvaluation =

    /// The most states for which a dense factorisation is made; larger systems are solved by a Krylov method.
    [<Literal>]
    let DenseLimit = 600

    // The entries of I - gamma P_pi, each place once, and r_pi.
    let private system (kernel: Kernel) (policy: float[]) =
        let model = kernel.Model
        let weights, rewards = kernel.Weights, kernel.RowRewards
        let right = Array.zeroCreate<float> model.stateCount
        let entries = ResizeArray<struct (int * int * float)>(model.stateCount * (kernel.LongestRow + 1))
        let sums = System.Collections.Generic.Dictionary<int, float>()

        for s in 0 .. model.stateCount - 1 do
            sums.Clear()
            sums[s] <- 1.0

            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if policy[row] > 0.0 then
                    right[s] <- right[s] + policy[row] * rewards[row]

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let found, sum = sums.TryGetValue model.successors[k]
                        sums[model.successors[k]] <- (if found then sum else 0.0) - policy[row] * weights[k]

            for entry in sums do
                entries.Add(struct (s, entry.Key, entry.Value))

        struct (entries, right)

    /// The solution for a policy that is given by the probability of each row; the Krylov method starts from the guess. The answer is only as
    /// good as its residual: whoever uses it checks that.
    let solve (kernel: Kernel) (policy: float[]) (guess: float[]) : float[] =
        let count = kernel.Model.stateCount
        let struct (entries, right) = system kernel policy

        if count <= DenseLimit then
            let matrix = DenseMatrix.Create(count, count, 0.0)

            for struct (i, j, x) in entries do
                matrix[i, j] <- x

            matrix.LU().Solve(DenseVector.OfArray right).ToArray()
        else
            let matrix = SparseMatrix.OfIndexed(count, count, entries)
            let answer = DenseVector.OfArray guess

            let monitor =
                Iterator<float>(
                    IterationCountStopCriterion<float> 1000,
                    ResidualStopCriterion<float> 1e-14,
                    FailureStopCriterion<float>(),
                    DivergenceStopCriterion<float>()
                )

            BiCgStab().Solve(matrix, DenseVector.OfArray right, answer, monitor, DiagonalPreconditioner())
            if Seq.forall Double.IsFinite answer then answer.ToArray() else guess

/// The values of a policy.
[<RequireQualifiedAccess>]
module PolicyEvaluation =

    /// V = T V under the policy by value iteration, for any state summary; certified by span bounds.
    let iterate (options: RunOptions) (policy: Policy) (bellman: Bellman) : Solution =
        { ValueIteration.solve options (bellman.With(PolicyMean policy)) with
            Method = "policy evaluation by iteration"
        }

    /// V = (I - gamma P_pi)^-1 r_pi by one linear solve, checked by the residual of the equation; plain sweeps refine it if need be.
    /// The state summary is the expectation (ArgumentException if not). Puterman 1994, "Markov decision processes", section 6.1.
    let linear (options: RunOptions) (policy: Policy) (bellman: Bellman) : Solution =
        match bellman.State with
        | :? Expectation -> ()
        | other -> invalidArg (nameof bellman) $"a linear solve needs the expectation as state summary but found '{other.Name}'"

        let evaluation = bellman.With(PolicyMean policy)
        let guess = Array.zeroCreate bellman.Kernel.Model.StateCount
        let values = LinearEvaluation.solve bellman.Kernel policy.Rows guess
        let start = if Array.forall Double.IsFinite values then values else guess
        let solution = ValueIteration.solveFrom (ValueSome start) options evaluation

        { solution with
            Method = "policy evaluation by linear solve"
            Certificate =
                if solution.Certificate = Certificate.Estimate then
                    Certificate.Estimate
                else
                    Certificate.LinearSolve
        }
