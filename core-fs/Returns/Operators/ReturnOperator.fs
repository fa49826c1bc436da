namespace ValueFlow.Core.Returns

open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Distributional Bellman operators: a push-forward along branches, projected on a representation. Bellemare, Dabney and Munos 2017, "A
/// distributional perspective on reinforcement learning".
[<RequireQualifiedAccess>]
module ReturnOperator =

    /// eta -> projection of T eta along the branches, with what the representation claims of it. Branches of evaluation make an operator of
    /// tables over states, those of row evaluation one over rows; those of a lookahead take a table over states to one over rows; n steps
    /// along branches are projected once.
    let create (representation: Representation<'table>) (branches: Branches) : Operator<'table> =
        {
            Name = $"T[{representation.Name}]"
            Space = representation.Space
            Claims = representation.Claims branches
            Monotone = representation.Monotone
            Translation =
                if representation.Monotone then
                    ValueSome(struct (branches.LeastDiscount * (1.0 - 1e-15), Bound.above branches.LargestDiscount))
                else
                    ValueNone
            Apply = fun table -> representation.Apply(branches, table)
            ApplyInto = representation.Into branches
        }

    /// The evaluation of a policy on laws of states: (T eta)(s) = law of R + gamma X(S'), A drawn from the policy.
    let evaluation (representation: Representation<'table>) (discount: float) (policy: Policy) (model: Model) : Operator<'table> =
        create representation (Branches.evaluation discount policy model)

    /// For each state the row whose number is best in the direction, the first among equals; -1 in a terminal state.
    let greedyRows (direction: Direction) (model: Model) (numbers: float[]) : int[] =
        Shape.requireLength (nameof numbers) model.RowCount numbers.Length
        let sign = if direction = Direction.Maximise then 1.0 else -1.0

        Array.init model.StateCount (fun state ->
            let mutable best = -1

            for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                if best < 0 || sign * numbers[row] > sign * numbers[best] then
                    best <- row

            best)

    /// Greedy control on laws of states: each state gets the law of the row whose one-step lookahead has the best mean, the lowest action
    /// among equals. Means obey the optimality operator, so they converge at the rate gamma; the operator itself is a contraction in no
    /// W_p, jumps where means tie, and claims nothing: laws may oscillate for ever. Bellemare, Dabney and Munos 2017.
    let greedy (representation: Representation<'table>) (direction: Direction) (discount: float) (model: Model) : Operator<'table> =
        let lookahead = Branches.lookahead discount model

        Operator.create $"greedy T[{representation.Name}]" representation.Space (fun table ->
            let rows = greedyRows direction model (lookahead.Means table.Means)
            representation.Apply(lookahead.Choosing rows, table))

    /// Greedy control on laws of rows: r + gamma X(s', a') with the a' whose law has the best mean in s', the lowest action among equals.
    /// It claims nothing, as <c>greedy</c>.
    let rowGreedy (representation: Representation<'table>) (direction: Direction) (discount: float) (model: Model) : Operator<'table> =
        let lookahead = Branches.lookahead discount model

        Operator.create $"greedy T[{representation.Name}] on rows" representation.Space (fun table ->
            let rows = greedyRows direction model table.Means
            representation.Apply(lookahead.LeadingTo(model.RowCount, rows |> Array.map (max 0)), table))
