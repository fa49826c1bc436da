namespace ValueFlow.Core.Returns

open ValueFlow.Core.Foundations

/// What is claimed of a functional of laws. Outcomes are rewards: more is better. Laws test every claim.
type Axioms =
    {
        /// X &lt;= Y everywhere implies K(X) &lt;= K(Y).
        Monotone: bool
        /// K(X + c) = K(X) + c.
        Translates: bool
        /// K(a X) = a K(X) for a &gt;= 0.
        Homogeneous: bool
        /// K of a mixture is at least the mixture of the K.
        ConcaveInMixtures: bool
        /// K of a mixture is at most the mixture of the K.
        ConvexInMixtures: bool
        /// K(X + Y) &gt;= K(X) + K(Y), whatever the dependence of X and Y.
        Superadditive: bool
        /// |K(X) - K(Y)| &lt;= L W_1(X, Y) for this L; infinite where none is claimed.
        Lipschitz: float
    }

/// From a law of rewards to one number: a certainty equivalent, a tail mean, a spread.
type Functional =
    {
        /// The name, with its parameters.
        Name: string
        /// What is claimed of it.
        Axioms: Axioms
        /// Who proved it: author, year, title.
        Source: string
        /// K of a law.
        Value: Distribution -> float
    }
