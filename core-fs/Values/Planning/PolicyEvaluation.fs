namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

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
        let values = LinearEvaluation.solve bellman.Kernel policy.Rows guess options.Cancellation
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
