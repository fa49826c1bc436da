namespace ValueFlow.Laws

open ValueFlow.Core.Foundations

/// What a law says of one trial.
type internal Judgement = { Holds: bool; Finding: string; Measured: float; Claimed: float }

/// A trial with its operator and points.
type internal Scene<'x> = { Trial: Trial; Operator: Operator<'x>; X: 'x; Y: 'x; Subject: Subject<'x> }

/// A law: a statement about operators, tried on random points with shrinking.
type Law<'x> =
    internal
        {
            name: string
            statement: string
            missing: Operator<'x> -> string voption
            judge: Scene<'x> -> Judgement
        }

    /// The law's name.
    member this.Name = this.name
    /// What it says, as a formula.
    member this.Statement = this.statement
