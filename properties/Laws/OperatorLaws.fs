namespace ValueFlow.Laws

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open ValueFlow
open ValueFlow.Core.Foundations

/// The laws for C#: hand in an operator, or a family of operators over random models, and read the reports.
[<AbstractClass; Sealed>]
type OperatorLaws private () =

    static let options (given: LawOptions | null) =
        match given with
        | null -> LawOptions()
        | some -> some

    static let reports given (subject: Subject<float[]>) : IReadOnlyList<Report> =
        [| Law.contraction; Law.monotonicity; Law.translation; Law.purity |]
        |> Array.map (fun law -> Law.checkWith (options given) law subject)
        :> IReadOnlyList<Report>

    /// Tries every law that applies to what the operator claims, on random values of the dimension: contraction, monotonicity, translation, purity.
    static member Check
        (operator: ValueOperator, dimension: int, [<Optional; DefaultParameterValue(null: LawOptions | null)>] options: LawOptions | null)
        =
        ArgumentNullException.ThrowIfNull operator
        reports options (Subject.vectors dimension operator.Core)

    /// Tries the same laws on an operator on tensors (float64, one dimension), and that an application leaves one tensor behind: its result.
    static member Check
        (operator: TensorOperator, dimension: int, [<Optional; DefaultParameterValue(null: LawOptions | null)>] options': LawOptions | null)
        =
        ArgumentNullException.ThrowIfNull operator
        Lifetime.requireTorch ()

        [| Law.contraction; Law.monotonicity; Law.translation; Law.purity; Law.leakFreedom |]
        |> Array.map (fun law -> Law.checkWith (options options') law (Subject.tensors dimension operator.Core))
        :> IReadOnlyList<Report>

    /// Tries the same laws on a family: an operator for each random model and discount, with ties, masks, terminal states and discounts near one.
    static member CheckFamily
        (
            name: string,
            make: Func<DecisionModel, float, ValueOperator>,
            [<Optional; DefaultParameterValue(null: LawOptions | null)>] options: LawOptions | null
        ) =
        ArgumentException.ThrowIfNullOrEmpty name
        ArgumentNullException.ThrowIfNull make
        reports options (Subject.family name (fun model discount -> (make.Invoke(DecisionModel model, discount)).Core))

    /// Tries d(T x, T y) &lt;= d(x, y) in the sup norm on random values of the dimension.
    static member CheckNonExpansion
        (operator: ValueOperator, dimension: int, [<Optional; DefaultParameterValue(null: LawOptions | null)>] options': LawOptions | null)
        =
        ArgumentNullException.ThrowIfNull operator
        Law.checkWith (options options') (Law.nonExpansion Metric.sup) (Subject.vectors dimension operator.Core)

    /// Tries T x = S x within a relative tolerance on random values of the dimension.
    static member CheckEquality
        (
            operator: ValueOperator,
            other: ValueOperator,
            dimension: int,
            tolerance: float,
            [<Optional; DefaultParameterValue(null: LawOptions | null)>] options': LawOptions | null
        ) =
        ArgumentNullException.ThrowIfNull operator
        ArgumentNullException.ThrowIfNull other

        Law.checkWith
            (options options')
            (Law.equality tolerance (Subject.vectors dimension other.Core))
            (Subject.vectors dimension operator.Core)
