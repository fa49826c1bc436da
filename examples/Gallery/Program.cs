System.Console.WriteLine("ValueFlow gallery");
