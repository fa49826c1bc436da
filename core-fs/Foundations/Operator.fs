namespace ValueFlow.Core.Foundations

open System

/// What an operator promises in one metric.
type Claim<'x> =
    {
        /// Where distances are measured.
        Metric: Metric<'x>
        /// d(T x, T y) &lt;= Modulus * d(x, y) for all x and y. Below one: a contraction; one: a non-expansion.
        Modulus: float
        /// A bound on d(computed T x, exact T x) at x, in this metric; without one no runner can certify its answer
        /// in floating point, and it returns an estimate.
        Rounding: ('x -> float) voption
        /// Who proved it: author, year, title; or "stated by the user".
        Source: string
    }

/// Writes T x over a destination of the same shape, which is not the source, and leaves the source as it is.
type Into<'x> = delegate of source: 'x * destination: 'x -> unit

/// A pure function and what is claimed of it. <c>Apply</c> changes, frees and returns no argument; its result is fresh.
type Operator<'x> =
    {
        /// The operator's name in reports.
        Name: string
        /// The space that it acts on.
        Space: Space<'x>
        /// Its promises, at most one for each metric.
        Claims: Claim<'x> list
        /// x &lt;= y everywhere implies T x &lt;= T y everywhere.
        Monotone: bool
        /// The factors (a, b) for which a c &lt;= T(x + c) - T x &lt;= b c, for every x and every constant c &gt;= 0.
        Translation: struct (float * float) voption
        /// T x, fresh.
        Apply: 'x -> 'x
        /// The same without an allocation, where the operator offers it; a law holds it equal to <c>Apply</c>.
        ApplyInto: Into<'x> voption
    }

/// Makes operators, and computes what is claimed of their combinations.
[<RequireQualifiedAccess>]
module Operator =

    /// An operator of which nothing is claimed.
    let create (name: string) (space: Space<'x>) (apply: 'x -> 'x) : Operator<'x> =
        {
            Name = name
            Space = space
            Claims = []
            Monotone = false
            Translation = ValueNone
            Apply = apply
            ApplyInto = ValueNone
        }

    /// Adds a claim, in place of an earlier one in the same metric. The modulus is not negative.
    let claim (claim: Claim<'x>) (operator: Operator<'x>) : Operator<'x> =
        if not (claim.Modulus >= 0.0) then
            invalidArg (nameof claim) $"modulus must not be negative but is {claim.Modulus}"

        { operator with
            Claims = claim :: (operator.Claims |> List.filter (fun other -> other.Metric.Key <> claim.Metric.Key))
        }

    /// Claims a modulus in a metric, without a rounding bound.
    let claiming (metric: Metric<'x>) (modulus: float) (operator: Operator<'x>) : Operator<'x> =
        operator |> claim { Metric = metric; Modulus = modulus; Rounding = ValueNone; Source = "stated by the user" }

    /// An operator on vectors that contracts, or at least does not expand, by the modulus in the sup norm: what a user states in a line.
    let onVectors (name: string) (modulus: float) (apply: float[] -> float[]) : Operator<float[]> =
        create name Space.vectors apply |> claiming Metric.sup modulus

    /// Claims that the operator keeps the pointwise order.
    let monotone (operator: Operator<'x>) : Operator<'x> = { operator with Monotone = true }

    /// Claims lowest * c &lt;= T(x + c) - T x &lt;= highest * c for every c &gt;= 0.
    let translating (lowest: float) (highest: float) (operator: Operator<'x>) : Operator<'x> =
        if not (lowest <= highest) then
            invalidArg (nameof lowest) $"the lowest factor must not exceed the highest but {lowest} > {highest}"

        { operator with Translation = ValueSome(struct (lowest, highest)) }

    /// States how far a computed result may be from the exact one, at a point: in every claim that does not say so yet.
    let roundedBy (bound: 'x -> float) (operator: Operator<'x>) : Operator<'x> =
        let state claim =
            match claim.Rounding with
            | ValueSome _ -> claim
            | ValueNone -> { claim with Rounding = ValueSome bound }

        { operator with Claims = operator.Claims |> List.map state }

    /// The claim in the metric with the key, if there is one.
    let tryClaim (key: MetricKey) (operator: Operator<'x>) : Claim<'x> voption =
        operator.Claims |> List.tryFind (fun claim -> claim.Metric.Key = key) |> ValueOption.ofOption

    /// The best claim that certifies a point: the smallest modulus in a metric that separates points.
    let certifyingClaim (operator: Operator<'x>) : Claim<'x> voption =
        operator.Claims
        |> List.filter (fun claim -> claim.Metric.Separates && claim.Modulus < 1.0)
        |> List.sortBy _.Modulus
        |> List.tryHead
        |> ValueOption.ofOption

    let private cite (sources: string list) = sources |> List.distinct |> String.concat "; "

    // Claims of several operators in the metrics that all of them have.
    let private joined (operators: Operator<'x> list) (join: Claim<'x> list -> Claim<'x> voption) =
        operators.Head.Claims
        |> List.choose (fun first ->
            let claims = operators |> List.choose (tryClaim first.Metric.Key >> ValueOption.toOption)

            if claims.Length = operators.Length then join claims |> ValueOption.toOption else None)

    let private roundings (claims: Claim<'x> list) (combine: ('x -> float) list -> 'x -> float) =
        if claims |> List.forall _.Rounding.IsSome then
            ValueSome(combine (claims |> List.map _.Rounding.Value))
        else
            ValueNone

    // a b, rounded up: a modulus is never understated, and an exact product stays as it is.
    let private productAbove a b =
        let rounded = a * b
        if Math.FusedMultiplyAdd(a, b, -rounded) > 0.0 then Math.BitIncrement rounded else rounded

    /// outer . inner: x is sent to outer(inner x). Moduli multiply, in each metric that both claim in; so do
    /// translation factors, where the outer operator keeps the order or the inner one passes the same share of a constant on everywhere.
    let compose (outer: Operator<'x>) (inner: Operator<'x>) : Operator<'x> =
        let product (claims: Claim<'x> list) =
            let o, i = claims[0], claims[1]

            ValueSome
                { o with
                    Modulus = productAbove o.Modulus i.Modulus
                    Source = cite [ o.Source; i.Source ]
                    // d(fl S fl T x, S T x) <= rounding_S(fl T x) + L_S * rounding_T(x)
                    Rounding =
                        roundings claims (fun bounds x ->
                            let middle = inner.Apply x
                            let bound = bounds[0] middle + o.Modulus * bounds[1] x
                            inner.Space.Release middle
                            bound)
                }

        {
            Name = $"{outer.Name} . {inner.Name}"
            Space = outer.Space
            Claims = joined [ outer; inner ] product
            Monotone = outer.Monotone && inner.Monotone
            Translation =
                match outer.Translation, inner.Translation with
                // What the inner one adds to x need not be a constant: then only the order tells what the outer one makes of it.
                | ValueSome(struct (a, b)), ValueSome(struct (c, d)) when a >= 0.0 && c >= 0.0 && (outer.Monotone || c = d) ->
                    ValueSome(struct (a * c, productAbove b d))
                | _ -> ValueNone
            Apply =
                fun x ->
                    let middle = inner.Apply x
                    let result = outer.Apply middle
                    inner.Space.Release middle
                    result
            ApplyInto = ValueNone
        }

    /// T applied <c>count</c> times; count is at least one.
    let power (count: int) (operator: Operator<'x>) : Operator<'x> =
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 but is {count}"

        let repeated = Seq.replicate count operator |> Seq.reduce compose
        { repeated with Name = $"({operator.Name})^{count}" }

    /// sum over i of w(i) T_i x, for weights that are not negative and sum to one. Claims survive in convex metrics only.
    let mix (parts: (float * Operator<'x>) list) : Operator<'x> =
        if parts.IsEmpty then
            invalidArg (nameof parts) "a mixture must have at least one part but has none"

        for weight, operator in parts do
            if not (weight >= 0.0 && weight <= 1.0) then
                invalidArg (nameof parts) $"weights must lie in [0, 1] but that of '{operator.Name}' is {weight}"

        let total = parts |> List.sumBy fst

        if abs (total - 1.0) > 1e-12 then
            invalidArg (nameof parts) $"weights must sum to 1 but sum to {total}"

        let operators = parts |> List.map snd
        let space = operators.Head.Space
        let weighted numbers = List.fold2 (fun sum (weight, _) number -> sum + weight * number) 0.0 parts numbers
        let some = parts |> List.filter (fun (weight, _) -> weight > 0.0)

        let average (claims: Claim<'x> list) =
            if claims.Head.Metric.Convex then
                ValueSome
                    { claims.Head with
                        Modulus = weighted (claims |> List.map _.Modulus)
                        Source = cite (claims |> List.map _.Source)
                        // The sum itself rounds: that part is known only for the sup norm of vectors, so it is not claimed here.
                        Rounding = ValueNone
                    }
            else
                ValueNone

        let apply x =
            some
            |> List.map (fun (weight, operator) -> struct (weight, operator.Apply x))
            |> List.reduce (fun (struct (weight, sum)) (struct (other, next)) ->
                let result = space.Combine weight sum other next
                space.Release sum
                space.Release next
                struct (1.0, result))
            |> fun (struct (weight, result)) ->
                if weight = 1.0 then
                    result
                else
                    let scaled = space.Combine weight result 0.0 result
                    space.Release result
                    scaled

        {
            Name = parts |> List.map (fun (weight, operator) -> $"{weight} {operator.Name}") |> String.concat " + "
            Space = space
            Claims = joined operators average
            Monotone = operators |> List.forall _.Monotone
            Translation =
                if operators |> List.forall _.Translation.IsSome then
                    let lowest = operators |> List.map (fun o -> let struct (a, _) = o.Translation.Value in a)
                    let highest = operators |> List.map (fun o -> let struct (_, b) = o.Translation.Value in b)
                    ValueSome(struct (weighted lowest, weighted highest))
                else
                    ValueNone
            Apply = apply
            ApplyInto = ValueNone
        }

    /// x, with every claim that the identity satisfies in the metrics of the operator.
    let identityLike (operator: Operator<'x>) : Operator<'x> =
        {
            Name = "id"
            Space = operator.Space
            Claims =
                operator.Claims
                |> List.map (fun claim -> { claim with Modulus = 1.0; Source = "the identity"; Rounding = ValueSome(fun _ -> 0.0) })
            Monotone = true
            Translation = ValueSome(struct (1.0, 1.0))
            Apply = operator.Space.Copy
            ApplyInto = ValueNone
        }

    /// (1 - step) x + step T x, for a step in (0, 1]: the same fixed points, modulus (1 - step) + step L in convex metrics
    /// (Krasnoselskii 1955, "Two remarks on the method of successive approximations").
    let damp (step: float) (operator: Operator<'x>) : Operator<'x> =
        if not (step > 0.0 && step <= 1.0) then
            invalidArg (nameof step) $"step must lie in (0, 1] but is {step}"

        let damped = mix [ 1.0 - step, identityLike operator; step, operator ]
        { damped with Name = $"damped({step}, {operator.Name})" }

    /// forward . T . backward for two maps that are inverse to each other: the same dynamics in other coordinates.
    /// It contracts by the same modulus in each metric seen through <c>backward</c>, and keeps no other claim.
    let conjugate (name: string) (space: Space<'y>) (forward: 'x -> 'y) (backward: 'y -> 'x) (operator: Operator<'x>) : Operator<'y> =
        {
            Name = $"{operator.Name} through {name}"
            Space = space
            Claims =
                operator.Claims
                |> List.map (fun claim ->
                    {
                        Metric = Metric.through name backward claim.Metric
                        Modulus = claim.Modulus
                        Rounding = ValueNone
                        Source = claim.Source
                    })
            Monotone = false
            Translation = ValueNone
            Apply =
                fun y ->
                    let x = backward y
                    let image = operator.Apply x
                    let result = forward image

                    if not (obj.ReferenceEquals(x, y)) then
                        operator.Space.Release x

                    if not (obj.ReferenceEquals(image, result)) then
                        operator.Space.Release image

                    result
            ApplyInto = ValueNone
        }

    /// projection . T: the operator, brought back to a set that the projection maps onto. A projection is idempotent.
    let project (projection: Operator<'x>) (operator: Operator<'x>) : Operator<'x> =
        { compose projection operator with Name = $"{projection.Name} . {operator.Name}" }

    /// The operator under another name.
    let named (name: string) (operator: Operator<'x>) : Operator<'x> = { operator with Name = name }
