namespace ValueFlow.Core.Values

open ValueFlow.Core.Foundations

/// The answer of a planning method: values, what is certified of them, and decisions.
type Solution =
    {
        /// For each state its value.
        Values: float[]
        /// For each state a number that the exact value is not below; -infinity where nothing is certified.
        Lower: float[]
        /// For each state a number that the exact value is not above; +infinity where nothing is certified.
        Upper: float[]
        /// For each state the action to take, or -1 in a terminal state. Empty if the run was cancelled, which ends at once: <c>Bellman.Greedy</c>
        /// finds the decisions of the values.
        Policy: int[]
        /// sup over s of |Values(s) - V*(s)| is at most this, V* exact and rounding included; infinite for an estimate.
        Bound: float
        /// The smallest bound that rounding lets this method certify here; a tolerance below it ends with PrecisionFloor.
        Floor: float
        /// sup over s of the value that the policy loses against the optimum; infinite where nothing is certified.
        PolicyLoss: float
        /// What stands behind the bounds.
        Certificate: Certificate
        /// Why the method stopped.
        Outcome: Outcome
        /// The method's name.
        Method: string
        /// Sweeps over the states (for a linear solve: policy improvements).
        Sweeps: int
        /// Residual and bound, sweep by sweep; thinned after the first thousand.
        History: Progress[]
    }
