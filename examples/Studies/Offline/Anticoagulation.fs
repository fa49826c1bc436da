namespace ValueFlow.Studies

open System
open ValueFlow.Core.Foundations

/// A visit, and what followed until the next one.
[<Struct>]
type internal Visit =
    {
        /// What was seen: range of the INR, and dose.
        State: int
        /// The change of the dose.
        Action: int
        /// For each day until the next visit whether the INR was in range.
        InRange: bool[]
        /// What was seen at the next visit.
        Next: int
    }

/// A simulated clinic: the INR of a patient moves towards what the dose makes of it, in one compartment, with noise; patients differ in how they respond, which nobody sees. Between visits lie 1 to 28
/// days, by a doctor's rule. It stands in for clinical records, of which it has none.
[<RequireQualifiedAccess>]
module internal Anticoagulation =

    // Edges of the ranges that a visit tells apart; the therapeutic range is 2 to 3.
    let private edges = [| 1.2; 1.5; 1.8; 2.0; 2.25; 2.5; 2.75; 3.0; 3.3; 3.7; 4.5 |]
    let private doses = 9

    /// What can be seen at a visit.
    let states = (edges.Length + 1) * doses

    /// Changes of the dose: two steps down, one down, none, one up, two up.
    let actions = 5

    /// What a visit sees.
    let seen (inr: float) (dose: int) : int = (edges |> Array.filter (fun edge -> inr >= edge) |> Array.length) * doses + dose

    /// What the doctor's rule prescribes.
    let prescribed (inr: float) : int =
        if inr < 1.5 then 4
        elif inr < 2.0 then 3
        elif inr <= 3.0 then 2
        elif inr <= 4.0 then 1
        else 0

    /// The doctor: the rule, and with the probability any change.
    let doctor (astray: float) (generator: Generator) (inr: float) (_: int) : int =
        if generator.Uniform() < astray then generator.Below actions else prescribed inr

    // Days to the next visit: soon where it is urgent, within ten days after a change, two to four weeks where all is well.
    let private gap (generator: Generator) (inr: float) (action: int) =
        if inr < 1.5 || inr > 4.0 then 1 + generator.Below 3
        elif inr < 2.0 || inr > 3.0 then 4 + generator.Below 5
        elif action = 2 then 14 + generator.Below 15
        else 7 + generator.Below 3

    /// Follows patients for some days under a policy (of INR and what is seen): the share of days in range, and the visits that were followed by another.
    let follow (generator: Generator) (patients: int) (days: int) (policy: Generator -> float -> int -> int) : struct (float * Visit[]) =
        let visits = ResizeArray<Visit>()
        let mutable inRange = 0

        for _ in 1..patients do
            // A patient's own chances: policies are compared on the same patients.
            let own = generator.Split()
            let response = exp (0.3 * Sampling.normal own)
            let choices = own.Split()
            let mutable dose = 4
            let mutable inr = 1.0 + 0.3 * own.Uniform()
            let mutable state = seen inr dose
            let mutable day = 0

            while day < days do
                let action = policy choices inr state
                dose <- Math.Clamp(dose + action - 2, 0, doses - 1)
                let length = min (gap choices inr action) (days - day)
                let goal = 1.0 + 1.5 * Math.Pow((0.6 + 0.1 * float dose) * response, 1.5)

                let range =
                    Array.init length (fun _ ->
                        inr <- Math.Clamp(inr + 0.25 * (goal - inr) + 0.12 * Sampling.normal own, 0.8, 8.0)
                        inr >= 2.0 && inr <= 3.0)

                inRange <- inRange + (range |> Array.filter id |> Array.length)
                day <- day + length
                let next = seen inr dose

                // The last stretch is cut off: nobody comes to see what followed.
                if day < days then
                    visits.Add { State = state; Action = action; InRange = range; Next = next }

                state <- next

        struct (float inRange / float (patients * days), visits.ToArray())
